"""A git revision of this repository as a folder, for as long as it is needed, with the rows that DVC keeps for it.

Folders are made under build/worktrees. Whoever uses one holds a lock on it, which the system lets go of however the
process ends; the next one to come removes what nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textgate.errors import CannotTell, Refused
from textgate.records import BUILD

WORKTREES = BUILD / "worktrees"
GIT_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # set inside a git hook, and about another folder
# No tracking server hears of a run that only repeats another.
UNTRACKED = {"MLFLOW_TRACKING_URI": None, "WANDB_MODE": "disabled"}


def commit_of(revision: str) -> str:
    """Return the commit that a git revision names. Raises CannotTell if there is none of that name here."""
    named = f"{revision}^{{commit}}"
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", named)
    if found.returncode:
        raise CannotTell(f"{revision[:80]!a} is no revision of this repository: name one, or run git fetch first")
    return found.stdout.strip()


def on_a_branch(commit: str) -> bool:
    """Say whether a commit is in the history of a branch or a tag that this repository has."""
    found = git("for-each-ref", "--count=1", f"--contains={commit}", "refs/heads", "refs/remotes", "refs/tags")
    return found.returncode == 0 and bool(found.stdout.strip())


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Check a commit out into a folder of its own; it is removed in the end. Raises CannotTell if git cannot do it."""
    WORKTREES.mkdir(parents=True, exist_ok=True)
    with _held(WORKTREES):  # nobody tidies up between a folder and its lock
        for left_over in WORKTREES.iterdir():
            _remove_unless_held(left_over)
        tree = Path(tempfile.mkdtemp(prefix=f"{commit[:12]}-", dir=WORKTREES)).resolve()
        lock = _lock(tree)
    try:
        # The repository's hooks would set up or fetch things for a person who goes on working there.
        done = git("-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--detach", str(tree), commit)
        if done.returncode:
            reason = " ".join(done.stderr.split())[-200:]
            raise CannotTell(f"commit {commit[:12]} cannot be checked out: {reason}: look at it with git status")
        yield tree
    finally:
        _remove(tree)
        os.close(lock)


def restore_rows(tree: Path) -> None:
    """Bring back the rows that a worktree keeps in DVC: from this repository's cache, else from today's remote.

    DVC is told of both in any case, so that it also finds stages that were computed before. Raises CannotTell if rows
    are in neither place.
    """
    if not (tree / ".dvc").is_dir():
        return
    _share_dvc(tree)
    files = sorted(str(path.relative_to(tree)) for path in tree.rglob("*.dvc") if path.is_file())
    if files:
        bring_back(tree, files)


def bring_back(tree: Path, files: Sequence[str]) -> None:
    """Bring back what these .dvc files name: from the cache, else from the remote that `tree` has.

    Raises CannotTell if it is in neither place.
    """
    if not _dvc(tree, "checkout", *files).returncode:
        return
    pulled = _dvc(tree, "pull", *files)
    if pulled.returncode:
        said = [line.strip() for line in pulled.stderr.splitlines() if line.startswith("ERROR")]
        names = ", ".join(files)[:200]
        reason = (said or [f"dvc pull ended with exit code {pulled.returncode}"])[0].removeprefix("ERROR: ")[:200]
        raise CannotTell(
            f"the rows of {names} are neither in DVC's cache nor in a remote ({reason.rstrip(':')}): "
            f'run "dvc push" where they are, or name their remote in .dvc/config'
        )


def run_in(tree: Path, command: Sequence[str | Path], what: str) -> None:
    """Run a Python, given with its arguments, in a worktree; what it prints goes to stderr.

    Raises Refused or CannotTell with the reason that a script of textgate gave, CannotTell for any other failure.
    """
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder, "reason")
        done = subprocess.run(
            [str(word) for word in command],
            cwd=tree,
            stdout=sys.stderr,
            check=False,
            env=_environment(tree, Path(command[0]).parent) | {"TEXTGATE_REASON": str(note)},
        )
        if note.is_file():
            code, _, reason = note.read_text(encoding="utf-8", errors="replace").partition(" ")
            raise (Refused if code == "1" else CannotTell)(f"{what}: {reason}")
    if done.returncode:
        raise CannotTell(f"{what}: it ended with exit code {done.returncode}: what it printed above says more")


def _environment(tree: Path, programs: Path) -> dict[str, str]:
    changes: dict[str, str | None] = {**dict.fromkeys(GIT_ELSEWHERE), **UNTRACKED}
    changes |= {"PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])}
    changes |= {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tree / ".dvc" / "tmp" / "site")}
    return {name: value for name, value in (os.environ | changes).items() if value is not None}


def _share_dvc(tree: Path) -> None:
    """Point a worktree's DVC at this repository's cache and remotes, whose relative paths mean other places there.

    DVC writes ASCII alone into its configuration; relative paths leave out the names of the folders above us.
    """
    ours = _dvc_config()
    from dvc.config import Config
    from dvc.config_schema import RelPath

    try:
        with Config(str(tree / ".dvc")).edit("local") as theirs:
            theirs["cache"] |= {"dir": RelPath(dvc_cache())}
            theirs["remote"] |= ours["remote"]  # DVC writes their paths anew
            if "remote" in ours["core"]:
                theirs["core"]["remote"] = ours["core"]["remote"]
    except UnicodeEncodeError as error:
        letters = ascii(error.object[error.start : error.end])
        found = f"a setting in .dvc/config or .dvc/config.local is not ASCII ({letters})"
        raise CannotTell(f"{found}, and DVC cannot write it down: write it in ASCII") from error


def dvc_cache() -> Path:
    """Return this repository's DVC cache. Raises CannotTell if its configuration cannot be read."""
    return Path(_dvc_config()["cache"].get("dir") or Path(".dvc", "cache")).resolve()


def _dvc_config() -> Any:
    from dvc.config import Config, ConfigError

    try:
        return Config(str(Path(".dvc").resolve()))
    except ConfigError as error:
        raise CannotTell(f".dvc/config: {' '.join(str(error).split())[:200]}: mend it") from error


def _dvc(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    env = _environment(tree, Path(sys.executable).parent)
    return subprocess.run(
        command, cwd=tree, capture_output=True, encoding="utf-8", errors="replace", check=False, env=env
    )


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git on this repository, also from within a hook. Raises CannotTell if there is no git."""
    env = {name: value for name, value in os.environ.items() if name not in GIT_ELSEWHERE}
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False, env=env
        )
    except OSError as error:
        raise CannotTell("git is missing: install it, or put it on the PATH") from error


def _lock(folder: Path) -> int:
    """Return a descriptor that holds the lock on a folder. Raises BlockingIOError if somebody else holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the lock on a folder, after waiting for it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_unless_held(folder: Path) -> None:
    try:
        lock = _lock(folder)
    except BlockingIOError:
        return
    try:
        _remove(folder.resolve())
    finally:
        os.close(lock)


def _remove(tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    git("worktree", "remove", "--force", "--force", str(tree))  # twice: also one that git had not finished making
