"""A folder or a git revision into the rows of that time, in a folder such as build/data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textgate import records
from textgate.data.sources import SourceFiles
from textgate.errors import CannotTell
from textgate.files import sha256_file
from textgate.records import BUILD
from textgate.versions.worktree import commit_of, dvc_cache, restore_rows, run_in, worktree

LOCK = Path("requirements.txt")


@contextmanager
def data_at(named: str) -> Iterator[tuple[Path, str]]:
    """Give a folder with the rows that `named` stands for, and what to call them, until the block ends.

    A folder stands for itself. For a revision, its own code makes the rows of that time, with today's packages; what
    DVC still has of them is taken from there. Raises CannotTell for what is neither, or if its rows cannot be had.
    """
    if not named:
        raise CannotTell("a name is empty: data_diff.py takes two, make data-diff takes A= and B=")
    if Path(named).is_dir():
        if not Path(named, "data.json").is_file():
            raise CannotTell(f"{named} has no data.json, so it holds no rows as build/data does: name such a folder")
        yield Path(named), named
        return
    commit = commit_of(named)
    print(f"making the rows of {commit[:12]}", file=sys.stderr, flush=True)
    with worktree(commit) as tree:
        restore_rows(tree)
        _make(tree, f"the rows of {commit[:12]}, as git and DVC have them")
        yield tree / BUILD / "data", commit[:12] if commit.startswith(named) else f"{named} ({commit[:12]})"


def _make(tree: Path, what: str) -> None:
    python = Path(sys.executable)
    run_in(tree, [python, "scripts/choose.py", "--champion=none"], what)  # rows need no registry
    _check_sources(tree)
    # DVC keeps results by what is in requirements.txt: it must not take those of today's packages for another list's.
    same = (tree / LOCK).is_file() and sha256_file(tree / LOCK) == sha256_file(LOCK)
    script = ["-m", "dvc", "repro", "--quiet", "--single-item", "data"] if same else ["scripts/data.py"]
    run_in(tree, [python, *script], what)


def _check_sources(tree: Path) -> None:
    """Raise CannotTell if rows come from outside the worktree: those are of today, whatever the revision."""
    inside = [folder.resolve() for folder in (tree, dvc_cache()) if folder.is_dir()]
    for name in records.read(tree / BUILD / "source.json", SourceFiles, "choose").files:
        path = (tree / name).resolve()
        if not any(path.is_relative_to(folder) for folder in inside):
            raise CannotTell(
                f"configs/data.yaml then read {name}, which is outside the repository: git and DVC do not know what it "
                "held: compare two folders of rows that you kept"
            )
