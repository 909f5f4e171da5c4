"""Bring what the registry says to where it is served: serving/champion and serving/challenger, links to versions.

serving/versions/vX.Y.Z/ holds what a fetch leaves; a version is asked before a link moves to it, in one step, and the
service takes it from there. serving/previous is where the champion's link pointed before, for a quick way back.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from textgate.bundle import replace_folder
from textgate.config import CONFIGS
from textgate.errors import CannotTell, TextgateError
from textgate.evidence import VERSION
from textgate.registry.commands import CHALLENGER, CHAMPION, NONE_YET
from textgate.registry.fetched import held
from textgate.registry.protocol import Registry
from textgate.smoke import smoke

VERSIONS, PREVIOUS, FETCHING = "versions", "previous", ".fetching"
LONGEST_S = 24 * 60 * 60  # who looks more rarely does not watch


def roll_out(registry: Registry, to: Path, configs: Path = CONFIGS) -> Iterator[str]:
    """Let `to` follow the registry and yield one line a change.

    Raises Refused for a version that is altered or does not answer, CannotTell if the registry cannot be asked or
    something else lies where a link should. What serves then goes on.
    """
    (to / VERSIONS).mkdir(parents=True, exist_ok=True)
    with _alone(to):
        champion, challenger = registry.current(), registry.challenger()
        if champion is None:
            yield f"{NONE_YET}: nothing was changed"
            return
        yield from _point(registry, to, CHAMPION, champion, configs)
        if challenger is not None:
            yield from _point(registry, to, CHALLENGER, challenger, configs)
        elif (to / CHALLENGER).is_symlink():
            (to / CHALLENGER).unlink()
            yield "there is no challenger any more"
        _tidy(to)


def watch(look: Callable[[], Iterable[str]], seconds: float) -> None:
    """Look again and again, and say what changed; a problem is said once, until it is another one or over."""
    if not 0 < seconds <= LONGEST_S:
        raise CannotTell(f"--watch takes seconds, more than 0 and at most {LONGEST_S}, not {seconds:g}")
    problem = ""
    while True:
        try:
            for change in look():
                print(change, flush=True)
            problem = ""
        except (TextgateError, OSError) as error:
            line = " ".join(f"{getattr(error, 'word', CannotTell.word)}: {error}".split())
            if line != problem:
                print(line, flush=True)
            problem = line
        time.sleep(seconds)


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Wait for another roll-out to the same place to end. A killed one holds nothing."""
    with (to / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _point(registry: Registry, to: Path, variant: str, version: str, configs: Path) -> Iterator[str]:
    link, folder = to / variant, to / VERSIONS / version
    if link.exists() and not link.is_symlink():
        raise CannotTell(f"{link} is no link: move it away, a roll-out puts its own there")
    before = link.readlink().name if link.is_symlink() else None
    sound = held(folder, version) is not None
    if before == version and sound:
        return
    if not sound:  # fetched beside it: what serves stays where it is until this has arrived
        new = to / VERSIONS / FETCHING
        registry.fetch(version, new)
        replace_folder(new, folder)
    smoke(folder, configs, version)
    moved = before is not None and before != version and (to / VERSIONS / before).is_dir()
    if moved and variant == CHAMPION:
        _flip(to / PREVIOUS, str(before))
    _flip(link, version)
    yield f"{variant}: {version}" + (f", {before} was before" if moved else "")


def _flip(link: Path, version: str) -> None:
    """Let a link point to a version, in one step. It is relative, so that the folder can be mounted elsewhere."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(Path(VERSIONS, version))
    new.replace(link)


def _tidy(to: Path) -> None:
    """Remove the versions that no link points to, and what a killed fetch left."""
    kept = {(to / name).readlink().name for name in (CHAMPION, CHALLENGER, PREVIOUS) if (to / name).is_symlink()}
    for folder in (to / VERSIONS).iterdir():
        if folder.name.startswith(".") or (VERSION.fullmatch(folder.name) and folder.name not in kept):
            shutil.rmtree(folder)
