"""CSV into rows: fields may hold line breaks between quotes; a broken record does not spoil the next."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from textgate.batch.lines import Pieces
from textgate.batch.rows import ID, Place, Read, Reject, Row, checked, reject
from textgate.errors import CannotTell


class _TooLongError(Exception):
    """The record at hand is longer than the limit."""


class _Record:
    """The lines that csv.reader asks for; knows how the record at hand begins."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self.begin()

    def begin(self) -> None:
        self.start, self._size, self._quotes = b"", 0, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        piece = next(self._pieces)
        self.start = self.start or piece
        self._size += len(piece)
        self._quotes += piece.count(b'"')
        if self._size > self._pieces.limit or self._pieces.cut:
            self._skip(piece)
            raise _TooLongError
        return piece.decode("utf-8", "surrogateescape")

    def _skip(self, piece: bytes) -> None:
        """Read to the end of the record: the first line break that does not stand between quotes."""
        while not (piece.endswith(b"\n") and self._quotes % 2 == 0):
            if not (piece := next(self._pieces, b"")):
                return
            self._quotes += piece.count(b'"')


def csv_rows(pieces: Pieces, name: str, column: str, begin: Place) -> Iterator[Read]:
    """Yield a row for each record behind the header.

    Raises CannotTell if there is no header, or not exactly one such column.
    """
    csv.field_size_limit(pieces.limit)
    record = _Record(pieces)
    reader = csv.reader(record, strict=True)
    header = _header(reader, name, column)
    pieces.go_to(begin.offset)
    number = begin.rows
    while (found := _next(reader, record, pieces.limit)) is not None:
        if found == []:
            continue
        number += 1
        if isinstance(found, str):
            yield Read(reject(number, found, record.start), pieces.offset)
        else:
            yield Read(_row(number, found, header, column, record.start), pieces.offset)


def _next(reader: Iterator[list[str]], record: _Record, limit: int) -> list[str] | str | None:
    """Return the fields of the next record, or why it has none; None at the end."""
    record.begin()
    try:
        return next(reader, None)
    except _TooLongError:
        return f"longer than {limit} bytes (is a double quote missing?)"
    except csv.Error as error:
        return f"not valid CSV: {error}"


def _row(number: int, fields: list[str], header: list[str], column: str, start: bytes) -> Row | Reject:
    if len(fields) != len(header):
        return reject(number, f"{len(fields)} fields, the header has {len(header)}", start)
    found = dict(zip(header, fields, strict=True))
    try:
        found[column].encode()
    except UnicodeEncodeError:
        return reject(number, "the text is not UTF-8", start)
    return checked(number, found[column], found.get(ID), start)


def _header(reader: Iterator[list[str]], name: str, column: str) -> list[str]:
    try:
        fields = next((fields for fields in reader if fields), None)
    except (csv.Error, _TooLongError) as error:
        raise CannotTell(f"{name}: its first line is no CSV header: mend it") from error
    if fields is None:
        raise CannotTell(f"{name} is empty: a CSV file begins with the names of its columns")
    header = [field.strip() for field in fields]
    if header.count(column) != 1:
        what = "no" if column not in header else "more than one"
        found = ", ".join(map(ascii, header))[:200]
        raise CannotTell(f"{name}: {what} column {column!r} (found: {found}): name yours with --text-column")
    return header
