"""Rows and results through a DVC remote, by the commands that the docs show: a folder on this machine, real DVC."""

import re
import shlex
from pathlib import Path

import pytest
from tests.project import ROOT, commit, dvc, git, make_project, must, run, script, small_rows, write_rows

from textgate.bundle import digest
from textgate.errors import CannotTell
from textgate.evidence import DataReport
from textgate.records import read
from textgate.versions.worktree import restore_rows, worktree

pytestmark = pytest.mark.long

ROWS = "data/rows.csv"
PROGRAMS = {"git", "echo", ".venv/bin/python", "PATH=$PWD/.venv/bin:$PATH", "make"}


def blocks(page: str, heading: str) -> list[str]:
    """Return the shell blocks in one section of a page under docs/."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)


def say(project: Path, block: str, store: object = "") -> str:
    """Run a block of the docs as it stands there, but for the remote's address and make's environment."""
    assert {shlex.split(line)[0] for line in block.splitlines()} <= PROGRAMS
    lines = block.replace("STORE", str(store)).replace("make choose", ".venv/bin/python scripts/choose.py")
    identity = (
        "export GIT_AUTHOR_NAME=Kim GIT_AUTHOR_EMAIL=k@example.org GIT_COMMITTER_NAME=Kim GIT_COMMITTER_EMAIL=k@x.org"
    )
    return must(run(project, "bash", "-euc", f"{identity}\n{lines}")).stdout


ONCE, ELSEWHERE, CHANGED = blocks("own-rows.md", "Rows outside git")
PUSH_RESULTS, FETCH_RESULTS = blocks("caching.md", "Sharing rows, and results")


def clone(project: Path, to: Path) -> Path:
    git(project.parent, "clone", "--quiet", project, to)
    (to / ".venv").symlink_to((project / ".venv").readlink())
    (to / ".git/info/exclude").write_text(".venv\n", encoding="utf-8")
    return to


@pytest.fixture
def shared(tmp_path, request) -> Path:
    """Return a project whose rows were pushed as the docs say, to a folder beside it."""
    project = make_project(tmp_path / "project")
    (project / ".gitignore").write_text((project / ".gitignore").read_text() + f"/{ROWS}\n", encoding="utf-8")
    commit(project, "no rows")
    say(project, ONCE, getattr(request, "param", "../store").format(tmp_path / "store"))
    return project


@pytest.mark.parametrize("shared", ["../store", "{}"], indirect=True)
def test_remote__a_fresh_clone_makes_the_same_data(shared, tmp_path):
    assert git(shared, "status", "--porcelain") == ""
    assert ROWS not in git(shared, "ls-files").splitlines()
    there = clone(shared, tmp_path / "clone")
    assert not (there / ROWS).exists()
    say(there, ELSEWHERE)
    assert (there / ROWS).read_bytes() == (shared / ROWS).read_bytes()
    prints = []
    for project in (shared, there):
        must(script(project, "choose"))
        must(script(project, "data"))
        prints.append(read(project / "build/data/data.json", DataReport, "data").fingerprint)
    assert prints[0] == prints[1]


def test_remote__changed_rows_come_with_the_commit(shared, tmp_path):
    there = clone(shared, tmp_path / "clone")
    say(there, ELSEWHERE)
    write_rows(shared / ROWS, small_rows(310))
    say(shared, CHANGED)
    git(there, "pull", "--quiet")
    say(there, ELSEWHERE)
    assert (there / ROWS).read_bytes() == (shared / ROWS).read_bytes()
    assert len((there / ROWS).read_text().splitlines()) == 311


def test_remote__a_worktree_of_an_old_commit_gets_the_rows_of_that_time_from_todays_remote(
    shared, tmp_path, monkeypatch
):
    old, before = git(shared, "rev-parse", "HEAD"), (shared / ROWS).read_bytes()
    write_rows(shared / ROWS, small_rows(310))
    say(shared, CHANGED)
    (tmp_path / "store").rename(tmp_path / "moved")
    there = clone(shared, tmp_path / "clone")
    must(dvc(there, "remote", "add", "--local", "--default", "moved", "../moved"))
    monkeypatch.chdir(there)
    with worktree(old) as tree:
        restore_rows(tree)
        assert (tree / ROWS).read_bytes() == before
        assert git(tree, "status", "--porcelain") == ""
    assert any((there / ".dvc/cache/files").rglob("*")), "fetched once, it is in the cache for the next time"


def test_remote__a_lost_remote_is_said(shared, tmp_path, monkeypatch):
    there = clone(shared, tmp_path / "clone")
    (tmp_path / "store").rename(tmp_path / "gone")
    monkeypatch.chdir(there)
    said = r"the rows of data/rows\.csv\.dvc are neither in DVC's cache nor in a remote \(failed to pull data"
    with worktree(git(there, "rev-parse", "HEAD")) as tree, pytest.raises(CannotTell, match=said):
        restore_rows(tree)


def test_remote__a_broken_configuration_is_said(shared, monkeypatch):
    monkeypatch.chdir(shared)
    (shared / ".dvc/config.local").write_text("[core\n", encoding="utf-8")
    with worktree(git(shared, "rev-parse", "HEAD")) as tree, pytest.raises(CannotTell, match=r"^\.dvc/config: "):
        restore_rows(tree)


def test_remote__shared_results_are_not_trained_again(shared, tmp_path):
    for stage in ("choose", "data", "train"):
        must(script(shared, "pr", f"--stage={stage}"))
    say(shared, PUSH_RESULTS)
    there = clone(shared, tmp_path / "clone")
    say(there, ELSEWHERE)
    said = say(there, FETCH_RESULTS)
    assert "Stage 'train' is cached - skipping run, checking out outputs" in said
    assert "training tfidf" not in said
    assert digest(there / "build/model") == digest(shared / "build/model")
