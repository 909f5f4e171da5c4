"""Rows that DVC keeps outside git, in the workflows: pulled by a job with the remote's secrets, used by one without.

The job with the secrets runs the code of the default branch. Of another branch it takes the .dvc files alone, each read
through a strict type: they say which bytes are wanted, and cannot say from where.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints

from textgate.config import load
from textgate.errors import CannotTell, Refused
from textgate.files import write_text
from textgate.records import Count, Record
from textgate.versions.worktree import bring_back, commit_of, git

MOST_FILES, MOST_BYTES = 50, 10_000  # a .dvc file has about 100
PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*\.dvc")


class _Out(Record):
    """A file or folder by its hash."""

    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
    size: Count
    nfiles: Count | None = None
    hash: Literal["md5"]
    path: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class _Tracked(Record):
    """A .dvc file as `dvc add` writes it; one that imports from elsewhere has more keys."""

    outs: tuple[_Out]


def bring_back_rows(branch: str | None) -> tuple[str, ...]:
    """Bring back the rows of this folder, or of a branch on GitHub, whose .dvc files then take the place of these.

    Return the .dvc files, none if rows are kept in git. Raises Refused for a .dvc file that `dvc add` did not write,
    CannotTell if the branch is not there, or rows are in no place that can be reached.
    """
    if branch is not None:
        _take_over(commit_of(f"refs/remotes/origin/{branch}"))
    files = _listed("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.dvc")
    there = tuple(name for name in files if Path(name).is_file())
    if there:
        bring_back(Path.cwd(), there)
    return there


def _take_over(commit: str) -> None:
    wanted = {name: _read(commit, name) for name in _listed("ls-tree", "-rz", "--name-only", commit)}
    for name in _listed("ls-files", "-z", "--", "*.dvc"):
        Path(name).unlink(missing_ok=True)
    for name, text in wanted.items():
        write_text(Path(name), text)


def _listed(*arguments: str) -> tuple[str, ...]:
    """Return the .dvc files that git lists. Raises Refused for odd names and for too many."""
    names = sorted(name for name in _said(*arguments).split("\0") if name.endswith(".dvc"))
    if odd := [name for name in names if not PATH.fullmatch(name)]:
        raise Refused(f"{odd[0][:80]!a}: rows are not kept under such a name: rename it")
    if len(names) > MOST_FILES:
        raise Refused(f"there are {len(names)} .dvc files, {MOST_FILES} are the most: add a folder of rows instead")
    return tuple(names)


def _read(commit: str, name: str) -> str:
    """Return the text of a .dvc file in a commit. Raises Refused unless it says what `dvc add` says, and no more."""
    cure = "write it anew with `dvc add`"
    if int(_said("cat-file", "-s", f"{commit}:{name}")) > MOST_BYTES:
        raise Refused(f"{name} has more than {MOST_BYTES:,} bytes: {cure}")
    text = _said("cat-file", "blob", f"{commit}:{name}")
    with tempfile.TemporaryDirectory() as folder:
        write_text(copy := Path(folder, "copy"), text)
        try:
            load(copy, _Tracked)
        except CannotTell as error:
            raise Refused(f"{name}:{str(error).removeprefix(str(copy)).removeprefix(':')}: {cure}") from error
    return text


def _said(*arguments: str) -> str:
    done = git(*arguments)
    if done.returncode:
        raise CannotTell(f"git {arguments[0]} fails: {' '.join(done.stderr.split())[-200:]}: run this in a whole clone")
    return done.stdout
