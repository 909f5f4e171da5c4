"""A release trained again: real commits, rows in DVC, real trainings of the linear model, in processes of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.project import QUIET, commit, dvc, edit, git, make_project, must, script, small_rows, write_rows
from tests.turned import turn

from textgate import records
from textgate.bundle import MANIFEST, digest, verify
from textgate.evidence import Release
from textgate.files import sha256_file
from textgate.versions.worktree import WORKTREES

pytestmark = pytest.mark.long


BORROWED = "borrowed-1.0-py3-none-any.whl"


def release(project: Path, to: Path) -> Path:
    """Leave build/model where a registry would fetch it to."""
    shutil.copytree(project / "build/model", to / "bundle")
    shutil.copy(project / "build/train.json", to)
    describe(to)
    return to


def describe(to: Path) -> None:
    """Write the release.json that fits the bundle."""
    manifest = verify(to / "bundle")
    found = Release(
        version="v0.1.0",
        bundle_digest=digest(to / "bundle"),
        data_fingerprint=manifest.data_fingerprint,
        experiment=manifest.experiment,
        commit=manifest.commit,
        judged_commit="1" * 40,
    )
    records.write(to / "release.json", found)


def train(project: Path) -> None:
    for stage in ("choose", "data", "train"):
        must(script(project, stage))


def write_borrowed(folder: Path) -> None:
    """Write a wheel that lends a new environment the packages of this one, so that pip need fetch none."""
    info = "borrowed-1.0.dist-info"
    with zipfile.ZipFile(folder / BORROWED, "w") as wheel:
        wheel.writestr("borrowed.pth", sysconfig.get_paths()["purelib"] + "\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: borrowed\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Return a folder with a project and its releases `first` (rows in DVC) and `other`: trained at another commit.

    At that commit requirements.txt named another package. Since then, rows, settings and code have changed again.
    """
    folder = tmp_path_factory.mktemp("shop")
    project = make_project(folder / "project")
    (project / ".gitignore").write_text((project / ".gitignore").read_text() + "/data/*.csv\n", encoding="utf-8")
    must(dvc(project, "add", "data/rows.csv"))
    commit(project, "first")
    train(project)
    release(project, folder / "first")
    lock = (project / "requirements.txt").read_text(encoding="utf-8")
    (project / "requirements.txt").write_text(f"./{BORROWED}\n", encoding="utf-8")
    write_borrowed(project)
    edit(project, "train", seed=14)
    commit(project, "other packages")
    train(project)
    release(project, folder / "other")
    (project / "requirements.txt").write_text(lock, encoding="utf-8")
    edit(project, "train", seed=15)
    write_rows(project / "data/rows.csv", small_rows(310))
    must(dvc(project, "add", "data/rows.csv"))
    (project / "scripts/train.py").write_text("raise SystemExit('not the code of the release')\n", encoding="utf-8")
    commit(project, "today")
    return folder


@pytest.fixture
def first(shop, tmp_path) -> Path:
    """Return a copy of the first release, free to be damaged."""
    return Path(shutil.copytree(shop / "first", tmp_path / "first"))


def reproduced(shop: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    done = script(shop / "project", "reproduce", "--release", folder)
    assert "Traceback" not in done.stderr
    assert git(shop / "project", "worktree", "list").count("\n") == 0
    worktrees = shop / "project" / WORKTREES
    assert not worktrees.exists() or not list(worktrees.iterdir())
    return done


def test_reproduce__the_same_commit_gives_the_same_bytes_though_everything_has_changed_since(shop):
    before = git(shop / "project", "status", "--porcelain"), digest(shop / "project/build/model")
    done = must(reproduced(shop, shop / "first"))
    assert done.stdout == f"reproduced: same bytes, {digest(shop / 'first/bundle')}\n"
    assert "training tfidf" in done.stderr  # and not taken from a cache
    assert (git(shop / "project", "status", "--porcelain"), digest(shop / "project/build/model")) == before


def test_reproduce__a_bundle_alone_will_do_and_no_registry_is_asked(shop, monkeypatch):
    monkeypatch.setenv("TEXTGATE_REGISTRY", "github")
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert must(reproduced(shop, shop / "first/bundle")).stdout.startswith("reproduced: same bytes, ")


def test_reproduce__other_packages_are_installed_into_an_environment_of_their_own(shop):
    done = must(reproduced(shop, shop / "other"))
    assert "installing requirements.txt of that time into an environment of its own" in done.stderr
    assert done.stdout == f"reproduced: same bytes, {digest(shop / 'other/bundle')}\n"


def test_reproduce__installed_packages_other_than_the_listed_ones_are_not_used(shop, tmp_path):
    versions = verify(shop / "other/bundle").versions | {"numpy": "1.0"}
    git(shop / "project", "checkout", "--quiet", verify(shop / "other/bundle").commit)
    done = must(reproduced(shop, resealed(shop / "other", tmp_path / "r", versions=versions)))
    git(shop / "project", "checkout", "--quiet", "main")
    assert "installing requirements.txt of that time" in done.stderr
    assert f"  numpy {np.__version__}, was 1.0\n" in done.stdout
    assert "reproduced but for rounding" in done.stdout


def test_reproduce__packages_that_cannot_be_installed_are_said(shop, tmp_path):
    project = shop / "project"
    today = git(project, "rev-parse", "HEAD")
    (project / "requirements.txt").write_text("./gone-1.0-py3-none-any.whl\n", encoding="utf-8")
    there = commit(project, "no such package")
    folder = resealed(
        shop / "first", tmp_path / "r", commit=there, lock_sha256=sha256_file(project / "requirements.txt")
    )
    git(project, "branch", "kept", there)
    git(project, "reset", "--quiet", "--hard", today)
    done = reproduced(shop, folder)
    assert done.returncode == 2
    assert "cannot tell: the packages of that time cannot be installed: ERROR:" in done.stderr
    assert "gone-1.0" in done.stderr  # a long path is cut at its end


def resealed(found: Path, to: Path, change=None, **made_from: object) -> Path:
    """Copy a release, change its bundle and seal it again: what somebody could release, or another machine train."""
    shutil.copytree(found, to)
    if change is not None:
        change(to / "bundle")
    path = to / "bundle" / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8")) | made_from
    manifest["files"] = {name: sha256_file(to / "bundle" / name) for name in manifest["files"]}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    describe(to)
    return to


def test_reproduce__rounding_of_another_machine_is_told_from_another_model(shop, tmp_path):
    versions = verify(shop / "first/bundle").versions | {"python": "3.11.0"}
    folder = resealed(shop / "first", tmp_path / "r", lambda bundle: turn(bundle, 1e-6), versions=versions)
    done = must(reproduced(shop, folder))
    assert "not the same bytes: released " in done.stdout
    assert f"  python {sys.version.split()[0]}, was 3.11.0\n" in done.stdout
    assert "  files that differ: tfidf.safetensors\n" in done.stdout
    assert "  trained released: device cpu, threads 2, processes 1, precision float32\n" in done.stdout
    assert "  trained now: device cpu, threads 2, processes 1, precision float32\n" in done.stdout
    assert "  this machine: " in done.stdout
    assert "reproduced but for rounding: same answer to 47 of 47 test rows (100.00 %)" in done.stdout


def test_reproduce__another_model_is_refused(shop, tmp_path):
    folder = resealed(shop / "first", tmp_path / "r", lambda bundle: turn(bundle, 30.0))
    done = reproduced(shop, folder)
    assert done.returncode == 1
    assert "refused: not reproduced: same answer to " in done.stderr
    assert "reproduced but" not in done.stdout


def test_reproduce__other_rows_are_refused(shop, tmp_path):
    done = reproduced(shop, resealed(shop / "first", tmp_path / "r", data_fingerprint="1" * 64))
    assert done.returncode == 1
    assert "refused: the rows that come out today have the fingerprint " in done.stderr
    assert ", not 111111111111…: restore the rows of that time first" in done.stderr


@pytest.mark.parametrize(
    ("made_from", "code", "words"),
    [
        ({"commit": "0" * 40}, 2, "cannot tell: commit 000000000000 is on no branch and no tag here: run git fetch"),
        ({"commit": "no git"}, 1, "refused: it was trained from files that are in no commit (no git)"),
        ({"commit": "0" * 40 + "+changes"}, 1, "refused: it was trained from files that are in no commit (0000000000"),
        ({"commit": "--upload-pack=x"}, 1, "refused: it was trained from files that are in no commit"),
        ({"lock_sha256": "2" * 64}, 1, "refused: v0.1.0 names another requirements.txt than commit "),
        ({"experiment": "../../x"}, 2, "cannot tell: choose at "),
    ],
)
def test_reproduce__what_a_bundle_says_of_itself_is_not_believed(shop, tmp_path, made_from, code, words):
    done = reproduced(shop, resealed(shop / "first", tmp_path / "r", **made_from))
    assert done.returncode == code
    assert words in done.stderr


def test_reproduce__a_commit_that_was_only_fetched_does_not_run(shop, tmp_path):
    project = shop / "project"
    tree = git(project, "rev-parse", "HEAD^{tree}")
    stray = git(project, "commit-tree", "-m", "from a fork", "-p", "HEAD", tree)
    done = reproduced(shop, resealed(shop / "first", tmp_path / "r", commit=stray))
    assert done.returncode == 2
    assert f"commit {stray[:12]} is on no branch and no tag here" in done.stderr


def test_reproduce__an_altered_bundle_is_refused_before_anything_runs(shop, first):
    for name, content, words in (
        ("tfidf.json", b"{}", "tfidf.json is not the file that was sealed"),
        ("more.pkl", b"", "more.pkl is not in the manifest"),
    ):
        before = (first / "bundle" / name).read_bytes() if (first / "bundle" / name).exists() else None
        (first / "bundle" / name).write_bytes(content)
        done = reproduced(shop, first)
        assert done.returncode == 1
        assert words in done.stderr
        assert "===" not in done.stderr
        (first / "bundle" / name).unlink() if before is None else (first / "bundle" / name).write_bytes(before)


def test_reproduce__a_sealed_bundle_that_nobody_vouches_for_is_refused(shop, first):
    (first / "bundle/weights.pkl").write_bytes(b"\x80\x04.")
    manifest = json.loads((first / "bundle" / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"]["weights.pkl"] = sha256_file(first / "bundle/weights.pkl")
    (first / "bundle" / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    describe(first)
    done = reproduced(shop, first)
    assert done.returncode == 1
    assert "a pickle, which can carry code" in done.stderr
    assert "===" not in done.stderr


def test_reproduce__a_bundle_other_than_the_released_one_is_refused(shop, first):
    shutil.rmtree(first / "bundle")
    shutil.copytree(shop / "other/bundle", first / "bundle")
    done = reproduced(shop, first)
    assert done.returncode == 1
    assert "was expected" in done.stderr


def test_reproduce__a_folder_without_a_bundle_is_said(shop, tmp_path):
    done = reproduced(shop, tmp_path / "nowhere")
    assert done.returncode == 2
    assert "nowhere is missing" in done.stderr


def test_reproduce__rows_that_dvc_lost_are_said(shop):
    cache = shop / "project/.dvc/cache"
    cache.rename(shop / "hidden")
    try:
        done = reproduced(shop, shop / "first")
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        (shop / "hidden").rename(cache)
    assert done.returncode == 2
    assert "the rows of data/rows.csv.dvc are neither in DVC's cache nor in a remote" in done.stderr


@pytest.fixture
def endless(shop, tmp_path) -> Path:
    """Return the first release, of a commit whose training, when it is over, waits for a signal for ever."""
    project = shop / "project"
    git(project, "checkout", "--quiet", verify(shop / "first/bundle").commit)
    path = project / "scripts/train.py"
    text = path.read_text(encoding="utf-8")
    assert text.endswith("    sys.exit(run(main))\n")
    text = text.replace("    sys.exit(run(main))", "    run(main)\n    signal.pause()")
    path.write_text(text.replace("import sys\n", "import signal\nimport sys\n", 1), encoding="utf-8")
    there = commit(project, "endless")
    git(project, "branch", "--force", "endless", there)
    git(project, "checkout", "--quiet", "main")
    return resealed(shop / "first", tmp_path / "endless", commit=there)


def start(shop: Path, folder: Path) -> subprocess.Popen[str]:
    """Start a reproduction and return when its training runs."""
    process = subprocess.Popen(
        [sys.executable, "scripts/reproduce.py", "--release", folder],
        cwd=shop / "project",
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | QUIET,
    )
    next(line for line in process.stderr if line == "=== train\n")
    return process


def test_reproduce__ctrl_c_leaves_no_worktree(shop, endless):
    with start(shop, endless) as process:
        os.killpg(process.pid, signal.SIGINT)
        process.stderr.read()
    assert process.returncode == 130
    assert list((shop / "project" / WORKTREES).iterdir()) == []
    assert git(shop / "project", "worktree", "list").count("\n") == 0


def test_reproduce__after_a_kill_the_next_run_tidies_up_and_does_its_work(shop, endless):
    with start(shop, endless) as process:
        os.killpg(process.pid, signal.SIGKILL)
        process.stderr.read()
    assert len(list((shop / "project" / WORKTREES).iterdir())) == 1
    assert must(reproduced(shop, shop / "first")).stdout.startswith("reproduced: same bytes")
