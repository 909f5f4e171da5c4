"""Segments that are old enough are deleted; the last hash in them stays, so that the rest can still be checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from textgate.serve.audit.slots import Anchor, lock, number, outlived, read_anchor, segments, slots, write_anchor
from textgate.serve.audit.tail import tail
from textgate.serve.clock import utc

DAY = 86_400


def expire(folder: Path, own: Path, now: float, keep_days: int) -> None:
    """Delete what is older than `keep_days` in our own slot, but for the segment in use, and in slots nobody has.

    Raises OSError, and Refused for a slot whose chain does not hold where it would be cut: that slot is left as it is.
    """
    before = utc(now - keep_days * DAY)
    _expire(own, segments(own), before, in_use=1)
    for slot in slots(folder):
        if slot != own and (handle := lock(slot)) is not None:
            try:
                _expire(slot, segments(slot), before, in_use=0)
            finally:
                os.close(handle)


def _expire(slot: Path, paths: Sequence[Path], before: str, in_use: int) -> None:
    """Delete the first of these segments while all their lines are older than `before`; anchor.json comes first."""
    anchor = read_anchor(slot)
    for index in range(len(paths) - in_use):
        written = _written(paths[index : index + 2], anchor.newest)
        if written >= before:
            break
        link = tail(paths[index]).link
        head = link.head if link else anchor.head
        anchor = Anchor(segment=number(paths[index]), n=head.n, hash=head.hash, newest=written)
        write_anchor(slot, anchor)
    for path in outlived(slot, anchor.segment):
        path.unlink()


def _written(paths: Sequence[Path], newest: str) -> str:
    """Return when the first of two segments was last written to, as its file says.

    If that lies before what was written earlier, the clock had gone backwards, and the time of the next one counts.
    """
    first, *later = (utc(path.stat().st_mtime) for path in paths)
    return first if first >= newest or not later else max(first, *later)
