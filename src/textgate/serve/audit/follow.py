"""A slot into its lines, one after the other, as long as they hold together; the first that does not is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from textgate.errors import CannotTell, Refused
from textgate.serve.audit.chain import MAX_LINE, Head, Link, parse
from textgate.serve.audit.slots import read_anchor, segments

What = Literal["changed", "removed", "inserted", "reordered", "torn"]
SETTLE_SECONDS = 0.1  # a line that is just being written is whole long before this
GONE = "old lines were deleted while they were read: run again"

WHY: dict[What, str] = {
    "changed": "it, or the line before it, is not what was written",
    "removed": "lines before it are missing",
    "inserted": "it was not written there",
    "reordered": "lines stand in another order than they were written",
    "torn": "half a line, left by a kill or a power cut: the server cuts it off when it starts",
}


class Broken(Refused):
    """The chain does not hold here."""

    def __init__(self, path: Path, line: int, what: What) -> None:
        """Take the segment, the number of the line in it, from 1, and what happened."""
        super().__init__(f"{path}, line {line}: {what}: {WHY[what]}")
        self.what = what


def follow(slot: Path) -> Iterator[Link]:
    """Yield the lines of a slot in their order. Raises Broken at the first that is not what was written there."""
    anchor = read_anchor(slot)
    head, paths = anchor.head, segments(slot)
    if read_anchor(slot) != anchor:
        raise CannotTell(f"{slot}: {GONE}")
    for index, path in enumerate(paths):
        for number, line in _lines(path):
            link = parse(line)
            if link is None or not link.follows(head):
                raise Broken(path, number, _what(line, link, head, _later(paths[index:], number)))
            head = link.head
            yield link


def _lines(path: Path, skip: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers, from 1; one that is too long comes cut, and so will not fit its hash."""
    try:
        with path.open("rb") as file:
            for _ in range(skip):
                _line(file)
            number = skip
            while line := _line(file):
                number += 1
                yield number, line
    except FileNotFoundError as error:
        raise CannotTell(f"{path}: {GONE}") from error


def _line(file: IO[bytes]) -> bytes:
    line = file.readline(MAX_LINE)
    if line and not line.endswith(b"\n") and len(line) < MAX_LINE:
        time.sleep(SETTLE_SECONDS)
        line += file.readline(MAX_LINE)
    return line


def _later(paths: list[Path], skip: int) -> Iterator[bytes]:
    for index, path in enumerate(paths):
        for _, line in _lines(path, 0 if index else skip):
            yield line


def _what(line: bytes, link: Link | None, head: Head, later: Iterator[bytes]) -> What:
    """Say what happened to a line that does not fit, by looking for the one that does among those after it."""
    last, ahead = True, link is not None and link.n > head.n + 1
    for after in later:
        last, other = False, parse(after)
        if other is not None and other.follows(head):
            return "reordered" if ahead else "inserted"
    if link is None:
        return "torn" if last and not line.endswith(b"\n") else "changed"
    if ahead:
        return "removed"
    return "inserted" if link.n <= head.n else "changed"
