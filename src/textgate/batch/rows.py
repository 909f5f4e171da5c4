"""A row of any format into what is scored, or into the reason why it is not; and rows into windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from textgate.batch.settings import BatchConfig
from textgate.records import Count, Record

START = 200  # characters of a rejected row that are kept, so that a person finds it again
ID = "id"  # the column that is carried over, where there is one


class Row(NamedTuple):
    """A row that can be scored. Rows are numbered from 1; a header and blank lines are none."""

    number: int
    id: str | None
    text: str


class Reject(NamedTuple):
    """A row that cannot be scored, why, and how it begins."""

    number: int
    reason: str
    start: str


class Place(Record):
    """How far a file was read: bytes once decompressed (of Parquet: rows), and rows."""

    offset: Count = 0
    rows: Count = 0


class Read(NamedTuple):
    """One row as it was read, and the offset behind it."""

    row: Row | Reject
    offset: int


@dataclass(frozen=True)
class Reading:
    """An open input."""

    reads: Iterator[Read]
    share: Callable[[], float | None]  # how much of it was read, 0 to 1; None for a pipe


@dataclass(frozen=True)
class Window:
    """Rows that are scored together, in the order of the file, and the place behind them."""

    rows: tuple[Row, ...]
    rejects: tuple[Reject, ...]
    place: Place
    share: float | None


def checked(number: int, text: Any, identity: Any, start: bytes) -> Row | Reject:
    """Return the row if its text is one. An id is kept if it is a text or a whole number."""
    if text is None:
        return reject(number, "no text", start)
    if not isinstance(text, str):
        return reject(number, f"the text is not a string but {type(text).__name__}", start)
    if not text.strip():
        return reject(number, "an empty text", start)
    known = isinstance(identity, (str, int)) and not isinstance(identity, bool)
    return Row(number, str(identity) if known else None, text)


def reject(number: int, reason: str, row: bytes) -> Reject:
    """Return a reject with the start of its row; bytes that are not UTF-8 become U+FFFD."""
    start = row[: 4 * START].decode("utf-8", "replace")  # a character has 4 bytes at most
    return Reject(number, reason, start[:START].rstrip("\r\n"))


def windows(reading: Reading, config: BatchConfig) -> Iterator[Window]:
    """Group rows until a window is full by number or by size."""
    held: list[Row | Reject] = []
    size = 0
    for row, offset in reading.reads:
        held.append(row)
        size += len(row.text) + len(row.id or "") if isinstance(row, Row) else START
        if len(held) == config.window_rows or size >= config.window_bytes:
            yield _window(held, offset, reading.share())
            held, size = [], 0
    if held:
        yield _window(held, offset, reading.share())


def _window(held: list[Row | Reject], offset: int, share: float | None) -> Window:
    rows = tuple(row for row in held if isinstance(row, Row))
    rejects = tuple(row for row in held if isinstance(row, Reject))
    return Window(rows, rejects, Place(offset=offset, rows=held[-1].number), share)
