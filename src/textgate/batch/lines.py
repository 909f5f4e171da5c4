"""Bytes into lines of a limited length, and a line of JSON into a row."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from textgate.batch.rows import ID, Place, Read, Reject, Row, checked, reject
from textgate.errors import CannotTell

BOM = b"\xef\xbb\xbf"
FIRST = 1000  # rows: if none of them has the text's key, the name of the key is taken for the mistake, and not the rows


class Pieces:
    """The lines of a file, with their ends; one longer than `limit` bytes comes in pieces of that length.

    Raises CannotTell for gzip that is cut off or damaged, and for what the system cannot read.
    """

    def __init__(self, file: BinaryIO, name: str, limit: int) -> None:
        """Take a file at its start."""
        self._file, self._name = file, name
        self.limit = limit
        self.offset = 0
        self.cut = False  # whether the last piece is not the whole rest of its line

    def __iter__(self) -> Iterator[bytes]:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece; a byte order mark before the first is left out."""
        try:
            piece = self._file.readline(self.limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            cure = "fetch the file again and start afresh"
            raise CannotTell(f"{self._name}: the gzip in it is cut off or damaged ({error}): {cure}") from error
        except OSError as error:
            raise CannotTell(
                f"{self._name} cannot be read ({error.strerror}): mend that, or name another input"
            ) from error
        if not piece:
            raise StopIteration
        first = self.offset == 0
        self.offset += len(piece)
        self.cut = len(piece) == self.limit and not piece.endswith(b"\n")
        return piece.removeprefix(BOM) if first else piece

    def go_to(self, offset: int) -> None:
        """Go on from an offset that was reached before; of gzip, all up to it is decompressed again."""
        if offset > self.offset:
            self.offset = self._file.seek(offset)


@dataclass
class _Keys:
    """Whether a row had the text's key, and which keys the first object had instead."""

    column: str
    known: bool = False
    found: str = ""

    def look(self, row: Mapping[str, Any]) -> None:
        """Take the keys of an object."""
        self.known = self.column in row
        self.found = self.found or ", ".join(map(ascii, row))[:200] or "none"


def jsonl_rows(pieces: Pieces, name: str, column: str, begin: Place) -> Iterator[Read]:
    """Yield a row for each line that is not blank.

    Raises CannotTell if there are objects among the first 1,000 rows, and none of them has such a key.
    """
    keys = _Keys(column)
    reads = _reads(pieces, keys, begin)
    if not begin.rows:  # else an earlier run has looked
        first = []
        for read in islice(reads, FIRST):
            first.append(read)
            if keys.known:
                break
        if keys.found and not keys.known:
            where = f"the first {len(first)} rows" if len(first) > 1 else "its only row"
            raise CannotTell(
                f"{name}: no key {column!r} in {where} (found: {keys.found}): name yours with --text-column"
            )
        yield from first
    yield from reads


def _reads(pieces: Pieces, keys: _Keys, begin: Place) -> Iterator[Read]:
    pieces.go_to(begin.offset)
    number = begin.rows
    for line in pieces:
        if pieces.cut:
            number += 1
            _skip_line(pieces)
            yield Read(reject(number, f"longer than {pieces.limit} bytes", line), pieces.offset)
        elif line.strip():
            number += 1
            yield Read(_row(number, line, keys), pieces.offset)


def _skip_line(pieces: Pieces) -> None:
    for piece in pieces:
        if piece.endswith(b"\n"):
            return


def _row(number: int, line: bytes, keys: _Keys) -> Row | Reject:
    try:
        found = json.loads(line.decode())  # given bytes, json would take UTF-16 as well
    except UnicodeDecodeError as error:
        return reject(number, f"byte {error.start} is not UTF-8", line)
    except (ValueError, RecursionError) as error:
        return reject(number, f"not JSON: {error}", line)
    if not isinstance(found, dict):
        return reject(number, "not a JSON object", line)
    if not keys.known:
        keys.look(found)
    return checked(number, found.get(keys.column), found.get(ID), line)
