"""What changed between two sets of rows: folders of made-up rows, and real revisions of a real repository."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.project import commit, dvc, edit, git, make_project, must, script, small_rows, write_rows
from tests.small import data_report

from textgate import records
from textgate.errors import CannotTell
from textgate.files import write_jsonl
from textgate.rows import SPLITS, fingerprint, split_hashes
from textgate.versions.data_diff import DataDiff, data_diff, summary
from textgate.versions.worktree import WORKTREES, run_in, worktree


def write_folder(folder: Path, labels: tuple[str, ...] = ("north", "south"), **splits: list[tuple[str, str]]) -> Path:
    """Write rows (text, label) as they lie in build/data; splits that are not named are empty."""
    for split in SPLITS:
        rows = splits.get(split, [])
        write_jsonl(
            folder / f"{split}.jsonl",
            ({"id": f"{split}{n}", "text": text, "label": label, "group": "g"} for n, (text, label) in enumerate(rows)),
        )
    hashes = split_hashes(folder)
    changes = {"fingerprint": fingerprint(hashes), "test_sha256": hashes[2], "source": folder.name}
    records.write(folder / "data.json", data_report(labels).model_copy(update=changes))
    return folder


def diff(a: Path, b: Path) -> DataDiff:
    return data_diff(a, b, ("a", "b"))


def texts(found: DataDiff, kind: str) -> list[tuple[str | None, str | None]]:
    return [(e.before and e.before.text, e.after and e.after.text) for e in found.examples[kind]]


ROWS = [("snow on the road", "north"), ("sand in a house", "south"), ("pine, and ice", "north")]


def test_diff__the_same_rows_are_unchanged(tmp_path):
    a, b = (write_folder(tmp_path / name, train=ROWS) for name in "ab")
    found = diff(a, b)
    assert (found.unchanged, found.added, found.removed, found.respelt) == (3, 0, 0, 0)
    assert (found.relabelled, found.moved) == ((), ())
    assert "test rows: the same file" in list(summary(found))


def test_diff__counts_added_and_removed_rows_and_shows_them(tmp_path):
    a = write_folder(tmp_path / "a", train=ROWS)
    b = write_folder(tmp_path / "b", train=ROWS[1:], test=[("a dune far away", "south"), ("an elk", "north")])
    found = diff(a, b)
    assert (found.unchanged, found.added, found.removed) == (2, 2, 1)
    assert texts(found, "added") == [(None, "a dune far away"), (None, "an elk")]
    assert texts(found, "removed") == [("snow on the road", None)]
    assert "test rows: another file" in list(summary(found))


def test_diff__a_row_with_another_label_is_relabelled_and_not_new(tmp_path):
    a = write_folder(tmp_path / "a", train=ROWS)
    b = write_folder(tmp_path / "b", train=[("snow on the road", "south"), *ROWS[1:]])
    found = diff(a, b)
    assert [one.model_dump() for one in found.relabelled] == [{"before": "north", "after": "south", "rows": 1}]
    assert (found.unchanged, found.added, found.removed) == (2, 0, 0)
    assert "  train, north → train, south: snow on the road" in list(summary(found))


def test_diff__a_training_row_that_became_a_test_row_is_said(tmp_path):
    a = write_folder(tmp_path / "a", train=ROWS, test=[("old test", "south")], external=[("far away", "north")])
    b = write_folder(tmp_path / "b", train=[*ROWS[2:], ("old test", "south")], test=[*ROWS[:2], ("far away", "north")])
    found = diff(a, b)
    moved = {(one.before, one.after): one.rows for one in found.moved}
    assert moved == {("train", "test"): 2, ("test", "train"): 1, ("external", "test"): 1}
    assert found.seen_before == 2
    assert found.unchanged == 1
    assert any("2 test rows of B were training or validation rows in A" in line for line in summary(found))


def test_diff__case_does_not_count_and_other_punctuation_is_another_spelling(tmp_path):
    a = write_folder(tmp_path / "a", train=ROWS)
    b = write_folder(tmp_path / "b", train=[("Snow On The Road", "north"), ROWS[1], ("pine and ice!", "north")])
    found = diff(a, b)
    assert (found.unchanged, found.respelt, found.added, found.removed) == (2, 1, 0, 0)
    assert texts(found, "respelt") == [("pine, and ice", "pine and ice!")]


def test_diff__the_same_letters_under_another_label_are_another_row(tmp_path):
    a = write_folder(tmp_path / "a", train=[("ticket 17", "north")])
    b = write_folder(tmp_path / "b", train=[("ticket 18", "south")])
    found = diff(a, b)
    assert (found.added, found.removed, found.respelt, found.relabelled) == (1, 1, 0, ())


def test_diff__texts_that_come_more_than_once_are_paired_one_to_one(tmp_path):
    a = write_folder(tmp_path / "a", train=[("ticket 1", "north"), ("ticket 2", "north"), ("ticket 3", "north")])
    b = write_folder(tmp_path / "b", train=[("ticket 2", "north"), ("ticket 4", "north")])
    found = diff(a, b)
    assert (found.unchanged, found.respelt, found.removed, found.added) == (1, 1, 1, 0)
    twice = write_folder(tmp_path / "c", train=[("ticket 2", "north")], valid=[("TICKET 2", "north")])
    found = diff(b, twice)
    assert (found.unchanged, found.respelt, len(found.moved), found.added) == (1, 1, 1, 0)


def test_diff__counts_labels_by_split_also_one_that_only_one_side_has(tmp_path):
    a = write_folder(tmp_path / "a", train=ROWS, valid=ROWS[:0])
    b = write_folder(tmp_path / "b", labels=("north", "east"), train=[("dawn", "east"), ("snow on the road", "north")])
    found = diff(a, b)
    assert found.a.rows["train"] == {"north": 2, "south": 1, "east": 0}
    assert found.b.rows["train"] == {"north": 1, "south": 0, "east": 1}
    lines = list(summary(found))
    assert any(" ".join(line.split()) == "train north 2 (66.7 %) 1 (50.0 %) -1" for line in lines)
    assert not any(line.startswith("external") for line in lines)


def test_diff__many_rows_agree_with_sets(tmp_path):
    old, new = small_rows(400), small_rows(500)[150:]
    a = write_folder(tmp_path / "a", ("kitchen", "weather"), train=old)
    b = write_folder(tmp_path / "b", ("kitchen", "weather"), train=new)
    found = diff(a, b)
    assert found.unchanged == len({*old} & {*new}) == 250
    assert (found.added, found.removed) == (100, 150)


def test_summary__a_hostile_row_does_nothing_to_the_terminal(tmp_path):
    label = "no\x1b[31mrth"
    a = write_folder(tmp_path / "a", (label, "south"), train=[])
    b = write_folder(tmp_path / "b", (label, "south"), train=[("\x1b]0;title\x07 \u202eevil " + "x" * 9999, label)])
    lines = list(summary(data_diff(a, b, ("v1\x1b[2J", "v2"))))
    assert all(character.isprintable() for line in lines for character in line.replace("\n", ""))
    assert max(map(len, lines)) < 300


def test_diff__rows_that_data_json_does_not_describe_are_not_compared(tmp_path):
    a, b = (write_folder(tmp_path / name, train=ROWS) for name in "ab")
    with (b / "train.jsonl").open("a") as file:
        file.write('{"id": "x", "text": "slipped in", "label": "north", "group": "g"}\n')
    with pytest.raises(CannotTell, match=r"does not hold the rows that its data.json describes"):
        diff(a, b)


def test_diff__a_label_that_data_json_does_not_name_is_said(tmp_path):
    a, b = write_folder(tmp_path / "a", train=ROWS), write_folder(tmp_path / "b", train=[("up", "sky")])
    with pytest.raises(CannotTell, match=r"has a label that its data.json does not name"):
        diff(a, b)


def test_diff__a_row_of_another_shape_is_said_with_its_line(tmp_path):
    a = write_folder(tmp_path / "a", train=ROWS)
    (a / "train.jsonl").write_text('{"id": "x", "text": 3, "label": "north", "group": "g"}\n')
    report = records.read(a / "data.json", type(data_report()), "data")
    records.write(a / "data.json", report.model_copy(update={"fingerprint": fingerprint(split_hashes(a))}))
    with pytest.raises(CannotTell, match=r"train.jsonl, line 1: Input should be a valid string"):
        diff(a, a)


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> tuple[Path, str, str]:
    """Return a project, a commit with rows in DVC, and one with other rows; requirements.txt changed after both."""
    project = make_project(tmp_path_factory.mktemp("history") / "project")
    (project / ".gitignore").write_text((project / ".gitignore").read_text() + "/data/*.csv\n")
    must(dvc(project, "add", "data/rows.csv"))
    first = commit(project, "rows")
    rows = small_rows(310)[10:]
    rows[5] = (rows[5][0], {"kitchen": "weather", "weather": "kitchen"}[rows[5][1]])
    write_rows(project / "data/rows.csv", rows)
    must(dvc(project, "add", "data/rows.csv"))
    lock = project / "requirements.txt"
    second = commit(project, "other rows")
    lock.write_text(lock.read_text() + "# other packages\n")
    commit(project, "other packages")
    return project, first, second


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Return a folder of rows to compare a revision with; making those of a second one takes seconds. Read only."""
    return write_folder(tmp_path_factory.mktemp("kept"), ("kitchen", "weather"), train=small_rows(20))


def left_over(project: Path) -> list[str]:
    return [path.name for path in (project / WORKTREES).iterdir()]


def test_data_diff__compares_two_commits_and_leaves_nothing_behind(history):
    project, first, second = history
    done = must(script(project, "data_diff", first[:7], second, "--json", "diff.json"))
    assert f"A  {first[:12]}: 300 rows from data/rows.csv" in done.stdout
    found = records.read(project / "diff.json", DataDiff, "data-diff")
    (project / "diff.json").unlink()
    assert (found.added, found.removed, found.unchanged) == (10, 10, 289)
    assert sum(one.rows for one in found.relabelled) == 1
    assert left_over(project) == []
    assert git(project, "worktree", "list").count("\n") == 0
    assert git(project, "status", "--porcelain") == ""
    assert not (project / "build/data").exists()


def test_data_diff__what_dvc_has_computed_is_not_computed_again(history):
    project, _, second = history
    git(project, "checkout", "--quiet", second)
    must(dvc(project, "checkout", "data/rows.csv.dvc"))
    must(script(project, "pr", "--stage=choose"))
    must(script(project, "pr", "--stage=data"))
    done = must(script(project, "data_diff", second, "build/data"))
    git(project, "checkout", "--quiet", "main")
    assert "added 0, removed 0" in done.stdout
    assert "expectations met" not in done.stderr  # which is what `data` says when it runs


def test_data_diff__other_packages_leave_no_result_in_dvc_for_that_commit(history, kept):
    project, first, _ = history
    before = sorted((project / ".dvc/cache/runs").rglob("*"))
    done = must(script(project, "data_diff", first, kept))
    assert "expectations met" in done.stderr
    assert sorted((project / ".dvc/cache/runs").rglob("*")) == before


def test_data_diff__says_what_is_neither_a_folder_nor_a_revision(history):
    project = history[0]
    for name, words in {
        "nowhere": "cannot tell: 'nowhere' is no revision of this repository: name one, or run git fetch first",
        "--upload-pack=x": "is no revision of this repository",
        "src": "cannot tell: src has no data.json, so it holds no rows as build/data does: name such a folder",
    }.items():
        done = script(project, "data_diff", "--", name, name)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_data_diff__rows_that_dvc_lost_are_said(history):
    project, first, _ = history
    lost = [path for path in (project / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    hidden = project.parent / "hidden"
    (project / ".dvc/cache").rename(hidden)
    try:
        done = script(project, "data_diff", first, first)
    finally:
        hidden.rename(project / ".dvc/cache")
    assert lost
    assert done.returncode == 2
    assert "cannot tell: the rows of data/rows.csv.dvc are neither in DVC's cache nor in a remote" in done.stderr
    assert 'run "dvc push" where they are' in done.stderr
    assert left_over(project) == []


@pytest.fixture
def small_history(tmp_path) -> Path:
    """Return a project without a commit."""
    return make_project(tmp_path / "project")


def test_data_diff__rows_outside_the_repository_are_not_taken_for_those_of_the_time(small_history):
    outside = small_history.parent / "outside.csv"
    (small_history / "data/rows.csv").rename(outside)
    edit(small_history, "data", source={"kind": "file", "path": str(outside)})
    commit(small_history, "elsewhere")
    done = script(small_history, "data_diff", "HEAD", "HEAD")
    assert done.returncode == 2
    assert "which is outside the repository: git and DVC do not know what it held" in done.stderr
    (small_history / "data/rows.csv").symlink_to(outside)
    edit(small_history, "data", source={"kind": "file", "path": "data/rows.csv"})
    commit(small_history, "a link")
    assert "which is outside the repository" in script(small_history, "data_diff", "HEAD", "HEAD").stderr


def test_data_diff__rows_that_were_in_neither_git_nor_dvc_are_said(small_history):
    (small_history / ".gitignore").write_text((small_history / ".gitignore").read_text() + "/data/\n")
    first = commit(small_history, "no rows")
    done = script(small_history, "data_diff", "HEAD", "HEAD")
    assert done.returncode == 2
    assert f"the rows of {first[:12]}, as git and DVC have them: data/rows.csv is missing" in done.stderr


def test_data_diff__rows_that_their_own_checks_refuse_are_refused(small_history):
    edit(small_history, "data", test_sha256="0" * 64)
    commit(small_history, "locked to other rows")
    done = script(small_history, "data_diff", "HEAD", "HEAD")
    assert done.returncode == 1
    assert "the test rows are not the locked ones" in done.stderr


def test_data_diff__the_repositorys_hooks_do_not_run(small_history, kept):
    hook = small_history / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\ntouch hook-ran\nexit 1\n")
    hook.chmod(0o755)
    commit(small_history, "rows")
    must(script(small_history, "data_diff", "HEAD", kept))
    assert not (small_history / "hook-ran").exists()


def test_data_diff__inside_a_git_hook_it_leaves_the_commit_in_the_making_alone(small_history, kept):
    first = commit(small_history, "rows")
    hook = small_history / ".git/hooks/pre-commit"
    hook.write_text(f"#!/bin/sh\n{sys.executable} scripts/data_diff.py HEAD {kept} > said 2>&1\n")
    hook.chmod(0o755)
    (small_history / "MODEL_CARD.md").write_text("changed\n")
    git(small_history, "commit", "--quiet", "--message=card", "MODEL_CARD.md")  # its index has a name of its own
    assert f"A  HEAD ({first[:12]}): 300 rows" in (small_history / "said").read_text()
    assert git(small_history, "diff", "--name-only", first, "HEAD") == "MODEL_CARD.md"
    assert git(small_history, "status", "--porcelain") == "?? said"


@contextmanager
def hold(project: Path, revision: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process that has a worktree, says where, and keeps it."""
    code = (
        "import sys, time; sys.path.insert(0, 'src')\n"
        "from textgate.versions.worktree import worktree\n"
        f"with worktree({revision!r}) as tree: print(tree, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_worktree__of_a_killed_run_is_removed_by_the_next_and_one_in_use_is_not(small_history, monkeypatch):
    first = commit(small_history, "rows")
    monkeypatch.chdir(small_history)
    with hold(small_history, first) as killed, hold(small_history, first) as alive:
        dead, used = (Path(process.stdout.readline().strip()) for process in (killed, alive))
        killed.kill()
        killed.wait()
        assert (dead / "configs").is_dir()
        with worktree(first) as tree:
            assert not dead.exists()
            assert (used / "configs").is_dir()
            assert git(tree, "rev-parse", "HEAD") == first
            assert git(small_history, "worktree", "list").count("\n") == 2  # ours, the one in use, the repository
        alive.send_signal(signal.SIGINT)
        alive.wait()
    assert not used.exists()
    assert git(small_history, "worktree", "list").count("\n") == 0


def test_worktree__one_that_git_was_killed_in_the_middle_of_making_is_removed(small_history, monkeypatch):
    first = commit(small_history, "rows")
    monkeypatch.chdir(small_history)
    half = (small_history / WORKTREES / "half").resolve()
    git(small_history, "worktree", "add", "--detach", half, first)
    git(small_history, "worktree", "lock", "--reason=initializing", half)
    (half / ".git").unlink()
    with worktree(first):
        assert not half.exists()
    assert "half" not in git(small_history, "worktree", "list")


def test_worktree__a_commit_that_cannot_be_checked_out_is_said(small_history, monkeypatch):
    first = commit(small_history, "rows")
    monkeypatch.chdir(small_history)
    blob = git(small_history, "rev-parse", "HEAD:requirements.txt")
    loose = small_history / ".git/objects" / blob[:2] / blob[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"damaged")
    with pytest.raises(CannotTell, match=f"commit {first[:12]} cannot be checked out: "), worktree(first):
        pass
    assert left_over(small_history) == []


def test_data_diff__works_at_the_same_time_as_another(history, kept):
    project, first, _ = history
    command = [sys.executable, "scripts/data_diff.py", first, str(kept)]
    both = [
        subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "12"
    ]
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out + err
    assert left_over(project) == []


def test_run_in__neither_a_tracking_server_nor_another_repository_is_meant(small_history, monkeypatch):
    first = commit(small_history, "rows")
    monkeypatch.chdir(small_history)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("GIT_DIR", str(small_history / ".git"))
    show = "import json, os; json.dump(dict(os.environ), open('seen.json', 'w'))"
    with worktree(first) as tree:
        run_in(tree, [sys.executable, "-c", show], "x")
        seen = json.loads((tree / "seen.json").read_text(encoding="utf-8"))
    assert not {"MLFLOW_TRACKING_URI", "GIT_DIR"} & set(seen)
    assert seen["WANDB_MODE"] == "disabled"


def test_run_in__a_script_that_ends_without_a_reason_is_unknown(small_history, monkeypatch):
    first = commit(small_history, "rows")
    monkeypatch.chdir(small_history)
    with worktree(first) as tree, pytest.raises(CannotTell, match=r"^the rows: it ended with exit code 1: what it pri"):
        run_in(tree, [sys.executable, "-c", "raise SystemExit(1)"], "the rows")
