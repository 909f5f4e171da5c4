"""The folder of the audit log: FOLDER/slot-N/000001.jsonl, 000002.jsonl, …; one chain a slot, one process at a time."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from pydantic import ValidationError

from textgate.errors import CannotTell, Refused
from textgate.files import read_text, write_text
from textgate.records import Count, Evidence, Sha256
from textgate.serve.audit.chain import GENESIS, Head
from textgate.serve.audit.event import Moment
from textgate.serve.clock import utc

SLOT = re.compile(r"slot-([1-9][0-9]{0,5})")
SEGMENT = re.compile(r"([0-9]{6,9})\.jsonl")
TORN = re.compile(r"([0-9]{6,9})-[0-9]+\.torn")


class Anchor(Evidence):
    """anchor.json: where the chain of a slot goes on after the segments that were deleted for their age."""

    segment: Count = 0  # all up to this one were deleted
    n: Count = 0  # lines that were in them
    hash: Sha256 = GENESIS  # of the last of these lines
    newest: Moment = utc(0)  # when that line was written

    @property
    def head(self) -> Head:
        """Return the end of what was deleted."""
        return Head(self.n, self.hash)


def slots(folder: Path) -> list[Path]:
    """Return the slots in the order of their numbers."""
    found = {int(name[1]): path for path in folder.iterdir() if (name := SLOT.fullmatch(path.name))}
    return [found[number] for number in sorted(found)]


def number(segment: Path) -> int:
    """Return the number of a segment."""
    return int(segment.stem)


def segments(slot: Path) -> list[Path]:
    """Return the segments in their order; one that outlived its deletion (a kill, a power cut) is none of them."""
    gone = read_anchor(slot).segment
    found = [path for path in slot.iterdir() if SEGMENT.fullmatch(path.name) and number(path) > gone]
    return sorted(found, key=number)


def segment(slot: Path, number: int) -> Path:
    """Return where a segment lies."""
    return slot / f"{number:06}.jsonl"


def outlived(slot: Path, gone: int) -> list[Path]:
    """Return what still lies there of segments up to number `gone`."""
    found = ((path, SEGMENT.fullmatch(path.name) or TORN.fullmatch(path.name)) for path in slot.iterdir())
    return [path for path, name in found if name and int(name[1]) <= gone]


def read_anchor(slot: Path) -> Anchor:
    """Return what anchor.json says, or the start of all chains without one. Raises Refused if it is no anchor."""
    path = slot / "anchor.json"
    if not path.exists():
        return Anchor()
    try:
        return Anchor.model_validate_json(read_text(path, "restore it"))
    except (ValidationError, CannotTell) as error:
        raise Refused(f"{path}: changed: not what the server writes there: restore it from a copy") from error


def write_anchor(slot: Path, anchor: Anchor) -> None:
    """Write anchor.json so that it is on the disk when this returns."""
    write_text(slot / "anchor.json", anchor.model_dump_json() + "\n")
    sync(slot / "anchor.json")
    sync(slot)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(slot: Path) -> int | None:
    """Return an open file whose lock makes the slot ours until it is closed or we die; None if somebody has it."""
    handle = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle
