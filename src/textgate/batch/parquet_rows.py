"""Parquet into rows: only the columns of text and id are read, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from textgate.batch.rows import ID, Place, Read, Reading, Reject, Row, checked, reject
from textgate.errors import CannotTell

ROWS = 32  # decoded at once, however long their texts: one repeated a thousand times takes no room in a file
BUFFER = 1 << 20  # bytes of a column that are read ahead; without it, a row group's whole column is


def parquet_reading(path: Path, column: str, begin: Place, limit: int) -> Reading:
    """Open a file. Raises CannotTell if it is no Parquet, or has no such column of strings."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise CannotTell(f"{path}: not a whole Parquet file ({_line(error)}): fetch it again") from error
    rows = _Rows(path, file, _columns(path, file.schema_arrow, column), begin.rows, limit)
    return Reading(iter(rows), lambda: rows.number / max(file.metadata.num_rows, 1))


def _columns(path: Path, schema: Any, column: str) -> list[str]:
    import pyarrow as pa

    if schema.names.count(column) != 1:
        found = ", ".join(map(ascii, schema.names))[:200]
        what = "no" if column not in schema.names else "more than one"
        raise CannotTell(f"{path}: {what} column {column!r} (found: {found}): name yours with --text-column")
    kind = _plain(schema.field(column).type)
    if not _is_text(kind):
        raise CannotTell(f"{path}: the column {column!r} holds {kind}, not strings: name another with --text-column")
    kept = schema.names.count(ID) == 1 and column != ID
    kind = _plain(schema.field(ID).type) if kept else pa.null()
    return [column, ID] if _is_text(kind) or pa.types.is_integer(kind) else [column]


def _plain(kind: Any) -> Any:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


class _Rows:
    """The rows behind a row number; knows the number of the last one that it gave."""

    def __init__(self, path: Path, file: Any, columns: list[str], begin: int, limit: int) -> None:
        self._path, self._file, self._columns, self._limit = path, file, columns, limit
        self.number = begin

    def __iter__(self) -> Iterator[Read]:
        import pyarrow as pa

        groups, skip = _groups_behind(self._file.metadata, self.number)
        try:
            for batch in self._file.iter_batches(ROWS, row_groups=groups, columns=self._columns, use_threads=False):
                values = [_values(batch.column(name)) for name in self._columns]
                for text, *identity in islice(zip(*values, strict=True), skip, None):
                    self.number += 1
                    row = _row(self.number, text, identity[0] if identity else None, self._limit)
                    yield Read(row, self.number)
                skip = max(skip - batch.num_rows, 0)
        except (pa.ArrowException, OSError) as error:
            raise CannotTell(
                f"{self._path}: damaged behind row {self.number} ({_line(error)}): fetch it again"
            ) from error


def _groups_behind(metadata: Any, row: int) -> tuple[list[int], int]:
    """Return the row groups with the rows behind a row number, and how many rows of the first of them are before it."""
    first = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if first + rows > row:
            return list(range(group, metadata.num_row_groups)), row - first
        first += rows
    return [], 0


def _values(column: Any) -> list[Any]:
    """Return strings as bytes, because what Parquet says is UTF-8 need not be; whole numbers as they are."""
    import pyarrow as pa

    plain = column.cast(_plain(column.type))
    values: list[Any] = (plain.cast(pa.large_binary()) if _is_text(plain.type) else plain).to_pylist()
    return values


def _row(number: int, text: bytes | None, identity: bytes | int | None, limit: int) -> Row | Reject:
    if text is not None and len(text) > limit:
        return reject(number, f"longer than {limit} bytes", text)
    if isinstance(identity, bytes) and len(identity) > limit:
        return reject(number, f"an id longer than {limit} bytes", identity)
    known = identity.decode("utf-8", "replace") if isinstance(identity, bytes) else identity
    try:
        return checked(number, None if text is None else text.decode(), known, text or b"")
    except UnicodeDecodeError as error:
        return reject(number, f"byte {error.start} is not UTF-8", text or b"")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
