"""The production model of `make pr`: asked for at the registry, fetched once, and never none for want of an answer."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from tests.mlflow_example import embedded, make_releases, release_files
from tests.project import EXAMPLE, ROOT

from textgate.bundle import digest
from textgate.errors import CannotTell, Refused
from textgate.registry.champion import champion_folder
from textgate.release.release import build

A, B = "v0.1.0", "v0.2.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with two releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"), (A, B))


@pytest.fixture(scope="module")
def served(tmp_path_factory, made):
    """Return a folder with configs/ and a store whose champion is v0.1.0. Read only, but for build/."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(EXAMPLE, folder / "configs")
    with pytest.MonkeyPatch.context() as patch:
        registry = embedded(folder, patch)
        registry.register(made / A)
        registry.promote(A)
        registry.register(made / B)
    return folder


@pytest.fixture
def registry(served, monkeypatch):
    shutil.rmtree(served / "build", ignore_errors=True)
    return embedded(served, monkeypatch)


def choose(folder, *options, **environment):
    """Run scripts/choose.py and return its exit code, what it printed, and the champion that it wrote down."""
    shutil.rmtree(folder / "build" / "champion.json", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "choose.py"), "--experiment=001_baseline", *options],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    written = folder / "build" / "champion.json"
    return done.returncode, done.stdout + done.stderr, json.loads(written.read_text()) if written.is_file() else None


def test_champion_folder__none_only_if_the_registry_says_so(tmp_path, monkeypatch):
    assert champion_folder(embedded(tmp_path, monkeypatch), tmp_path / "to") == "none"
    assert list(tmp_path.iterdir()) == []


def test_champion_folder__is_fetched_once_and_again_only_if_it_changed(registry, tmp_path):
    to = tmp_path / "to"
    assert champion_folder(registry, to) == str(to)
    first = to.stat().st_ino
    time.sleep(0.01)
    assert champion_folder(registry, to) == str(to)
    assert to.stat().st_ino == first
    (to / "bundle" / "note.txt").write_text("changed")
    champion_folder(registry, to)
    assert (to / "bundle" / "note.txt").read_text() == A


def test_champion_folder__another_champion_or_another_bundle_of_that_name_is_fetched_anew(
    registry, made, tmp_path, monkeypatch
):
    to = tmp_path / "to"
    champion_folder(registry, to)
    other = tmp_path / "other"
    other.mkdir()
    again = embedded(other, monkeypatch)  # somebody threw the store away, and began with v0.1.0 again
    build(made / f"judged-{B}", other / A, A)
    again.register(other / A)
    again.promote(A)
    champion_folder(again, to)
    assert digest(to / "bundle") == digest(made / f"judged-{B}" / "model")


def test_champion_folder__what_cannot_be_fetched_is_never_none(registry, tmp_path):
    files = release_files(registry, A)
    (files / "scan.json").rename(tmp_path / "scan.json")
    try:
        with pytest.raises(Refused, match=r"scan\.json is missing"):
            champion_folder(registry, tmp_path / "to")
    finally:
        (tmp_path / "scan.json").rename(files / "scan.json")
    assert not (tmp_path / "to").exists()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("x")
    with pytest.raises(CannotTell, match="holds something that no fetch left there"):
        champion_folder(registry, tmp_path / "to")


def test_choose__asks_the_registry_and_names_the_version(registry, served):
    code, said, champion = choose(served)
    assert (code, champion["state"], champion["name"]) == (0, "given", A), said
    assert champion["path"] == str((served / "build" / "champion" / "bundle").resolve())


def test_choose__none_or_a_folder_is_taken_without_asking(registry, served, made):
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    code, _, champion = choose(served, "--champion=none", **away)
    assert (code, champion["state"]) == (0, "none yet")
    code, _, champion = choose(served, f"--champion={made / f'judged-{B}' / 'model'}", **away)
    assert (code, champion["state"]) == (0, "given")
    code, _, champion = choose(served, "--again", **away)
    assert (code, champion["state"]) == (0, "given")


def test_choose__again_without_a_run_before_asks_the_registry(registry, served):
    assert choose(served, "--again")[2]["name"] == A


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, "does not answer (three tries): start it, or set MLFLOW_TRA"),
        (
            {"TEXTGATE_REGISTRY": "github", "GITHUB_REPOSITORY": ""},
            "TEXTGATE_REGISTRY is github, so the registry is a repository's releases, but GITHUB_REPOSITORY is ''",
        ),
        ({"TEXTGATE_REGISTRY": ""}, "TEXTGATE_REGISTRY is '': set it to one of mlflow, github, or not at all"),
    ],
)
def test_choose__a_registry_that_does_not_answer_is_unknown_in_one_line(registry, served, environment, said):
    code, out, champion = choose(served, **environment)
    assert (code, champion, out.count("\n")) == (2, None, 1), out
    assert out.startswith("cannot tell: ")
    assert said in out
