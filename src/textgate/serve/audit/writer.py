"""Blocks of lines into the segments of one slot: each block by one write, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from itertools import count
from pathlib import Path

from textgate.errors import Refused
from textgate.serve.audit.slots import lock, number, segment
from textgate.serve.audit.tail import End, resume

LOG = logging.getLogger("textgate.audit")
DAY = 86_400
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


def take(folder: Path) -> tuple[int, End]:
    """Take the first free slot: return its lock and its end. Raises OSError.

    A slot whose end is not what was written there is left as it lies, for whoever looks into it, and the next is taken.
    """
    for place in count(1):
        slot = folder / f"slot-{place}"
        slot.mkdir(mode=0o750, parents=True, exist_ok=True)
        handle = lock(slot)
        if handle is None:
            continue
        try:
            return handle, resume(slot, time.time())
        except BaseException as error:
            os.close(handle)
            if not isinstance(error, Refused):
                raise
            LOG.error(  # noqa: TRY400 - a line, no traceback
                "audit slot broken, left as it lies", extra={"slot": slot.name, "reason": str(error)}
            )
    raise AssertionError("count() has no end")


class SegmentWriter:
    """Writes to a slot. A segment is closed when it is full, and when a day is over: what is old goes by the day."""

    def __init__(self, end: End, most_bytes: int) -> None:
        """Open the segment where the slot ends. Raises OSError."""
        self.path, self._size, self._most = end.path, end.size, most_bytes
        self._fd = os.open(end.path, APPEND, 0o640)
        self._day = int(os.fstat(self._fd).st_mtime // DAY)
        self._full: list[int] = []  # closed segments that are not yet forced onto the disk
        self._forced = -1  # bytes of this segment that are
        self._half = False  # a part of a block may stand behind them

    def put(self, block: bytes) -> None:
        """Append a block. Raises OSError if it cannot be written whole; then nothing of it is left."""
        self._take_back()  # what could not be taken back at once
        self.turn(len(block))
        try:
            self._half = True
            _write(self._fd, block)
            self._half = False
        except OSError:
            with contextlib.suppress(OSError):
                self._take_back()
            raise
        self._size += len(block)

    def turn(self, more_bytes: int = 0) -> None:
        """Begin the next segment if this one is of another day, or has no room for so many bytes."""
        today = int(time.time() // DAY)
        if not self._size or (self._day == today and self._size + more_bytes <= self._most):
            return
        path = segment(self.path.parent, number(self.path) + 1)
        fd = os.open(path, APPEND | os.O_EXCL, 0o640)
        self._full.append(self._fd)
        self.path, self._fd, self._size, self._day, self._forced = path, fd, 0, today, -1

    def unforced(self) -> tuple[list[int], list[int]]:
        """Return open files to fsync: closed segments, for the caller to close, and this one if it was written to."""
        full, self._full = self._full, []
        here = [self._fd] if self._forced != self._size else []
        self._forced = self._size
        return full, here

    def taken_away(self) -> bool:
        """Say whether somebody deleted the segment or moved it: what is written to it now, nobody will find."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._fd))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # a network disk that is away for a moment: the next write tells
            return False

    def close(self) -> None:
        """Close the segment."""
        os.close(self._fd)

    def _take_back(self) -> None:
        if self._half:
            os.ftruncate(self._fd, self._size)
            self._half = False


def _write(fd: int, block: bytes) -> None:
    if os.write(fd, block) != len(block):  # the rest did not fit
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
