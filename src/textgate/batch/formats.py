"""The ending of a name into a format, and a path into an open input."""

from __future__ import annotations

import contextlib
import gzip
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, cast, get_args

from textgate.batch.csv_rows import csv_rows
from textgate.batch.lines import Pieces, jsonl_rows
from textgate.batch.parquet_rows import parquet_reading
from textgate.batch.rows import Place, Reading
from textgate.errors import CannotTell

Format = Literal["jsonl", "csv", "jsonl.gz", "csv.gz", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
PIPE = "-"


def format_of(name: str, named: Format | None) -> Format:
    """Return the format of a file by its ending; of standard input or output (`-`), the one that was named.

    Raises CannotTell for no name, another ending, a pipe without a format, and Parquet in a pipe.
    """
    if not name:
        raise CannotTell("a name is empty: batch.py takes IN and OUT, make batch takes IN= and OUT=")
    if name != PIPE:
        found = next((known for known in FORMATS if name.lower().endswith(f".{known}")), None)
        if found is None:
            raise CannotTell(
                f"{name}: unknown ending (known: {', '.join(f'.{known}' for known in FORMATS)}): rename it"
            )
        return found
    if named is None:
        raise CannotTell(f"- has no ending that tells its format: add --format (known: {', '.join(FORMATS)})")
    if named == "parquet":
        raise CannotTell("Parquet cannot be read from or written to a pipe: name a file")
    return named


@contextlib.contextmanager
def opened(name: str, form: Format, column: str, begin: Place, limit: int) -> Iterator[Reading]:
    """Open an input at a place. Raises CannotTell if it is missing or not of its format."""
    path = Path(name)
    if name != PIPE and not path.is_file():
        raise CannotTell(f"{name}: {'not a plain file' if path.exists() else 'there is no such file'}: name one, or -")
    if form == "parquet":
        yield parquet_reading(path, column, begin, limit)
        return
    with contextlib.ExitStack() as stack:
        pipe = name == PIPE
        if pipe and sys.stdin is None:
            raise CannotTell("standard input is closed: open it, or name a file")
        raw = cast(io.BufferedReader, sys.stdin.buffer if pipe else stack.enter_context(path.open("rb")))
        pieces = Pieces(_plain(raw, form, name), name, limit)
        csv = form.startswith("csv")
        reads = csv_rows(pieces, name, column, begin) if csv else jsonl_rows(pieces, name, column, begin)
        size = None if pipe else max(path.stat().st_size, 1)
        yield Reading(reads, lambda: None if size is None else min(raw.tell() / size, 1.0))


def _plain(raw: io.BufferedReader, form: Format, name: str) -> BinaryIO:
    if not form.endswith(".gz"):
        return raw
    if not raw.peek(1):  # which Python's gzip would take for nothing, well packed
        raise CannotTell(f"{name} is empty, and so not gzip: fetch it again")
    return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 16))
