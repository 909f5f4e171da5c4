"""CSV and JSONL files into raw rows; what is wrong with a row is said with its file and line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textgate.config import FileSource, HubSource
from textgate.errors import CannotTell
from textgate.records import BUILD

MAX_FILE_BYTES = 1024**3
MAX_FIELD = 131_072  # bytes; more is a quote that was never closed
SUFFIXES = (".csv", ".jsonl")
SPLIT_NAMES = ("train", "valid", "test")
EMPTY = ("", "nan", "none", "null", "n/a")  # how tables spell a missing value
Columns = FileSource | HubSource


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as its source has it. `place` is where a person finds it again."""

    text: str
    label: str
    group: str | None
    split: str | None
    place: str


def read_tables(path: Path, columns: Columns, labels: tuple[str, ...]) -> list[RawRow]:
    """Read a CSV or JSONL file, or all of them under a folder, in the order of their names.

    Raises CannotTell with file and line for the first row that cannot be used, or if there is nothing to read.
    """
    files = row_files(path)
    if not files:
        raise CannotTell(f"{path} holds no .csv or .jsonl file: put your rows there, or mend `path`")
    return [row for file in files for row in read_table(file, columns, labels)]


def row_files(path: Path) -> list[Path]:
    """Return the file itself, or the CSV and JSONL files under a folder in the order of their names.

    Raises CannotTell for a folder that holds build/ too: what this run writes would be among its rows.
    """
    if not path.is_dir():
        return [path]
    if BUILD.resolve().is_relative_to(path.resolve()):
        raise CannotTell(f"{path} also holds {BUILD}/, which textgate writes: name a folder with nothing but your rows")
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())


def read_table(path: Path, columns: Columns, labels: tuple[str, ...]) -> list[RawRow]:
    """Read one CSV or JSONL file. Raises CannotTell with file and line."""
    content = _text(path)
    records = _csv_records(path, content, columns) if path.suffix.lower() == ".csv" else _jsonl_records(path, content)
    rows = [_row(record, place, columns, labels) for place, record in records]
    if not rows:
        raise CannotTell(f"{path} has no rows: write some, or mend `path` in configs/data.yaml")
    return rows


def _text(path: Path) -> str:
    """Return a file as text, a byte order mark left out."""
    kept = path.with_name(f"{path.name}.dvc")
    if kept.is_file() and not path.exists():
        raise CannotTell(f'{path} is missing, DVC keeps it outside git: run ".venv/bin/python -m dvc pull {kept}"')
    if path.suffix.lower() not in SUFFIXES:
        wrong = "expected a .csv or .jsonl file, or a folder of them" if path.exists() else "there is no such file"
        raise CannotTell(f"{path}: {wrong}: mend `path` in configs/data.yaml")
    if not path.is_file():
        raise CannotTell(f"{path} is missing: put the file there, or mend `path` in configs/data.yaml")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CannotTell(f"{path} is larger than {MAX_FILE_BYTES >> 30} GiB: give a folder of smaller files")
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise CannotTell(f"{path} is empty: write some rows, or mend `path` in configs/data.yaml")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CannotTell(f"{path}, line {line}: byte {error.start} is not UTF-8: save the file as UTF-8") from error


def _csv_records(path: Path, content: str, columns: Columns) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    header: list[str] = []
    line = 1
    try:
        for fields in reader:
            place, line = f"{path}, line {line}", reader.line_num + 1
            if not fields:
                continue
            if not header:
                header = _header(fields, place, columns)
            elif len(fields) != len(header):
                found = f"{len(fields)} fields, the header has {len(header)}"
                raise CannotTell(f"{place}: {found}: put a text that holds a comma between double quotes")
            else:
                yield place, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        hint = "look for an unbalanced double quote in this row or one above"
        raise CannotTell(f"{path}, line {line}: not valid CSV ({error}): {hint}") from error


def _header(fields: list[str], place: str, columns: Columns) -> list[str]:
    header = [name.strip() for name in fields]
    for name in filter(None, (columns.text, columns.label, columns.group, columns.split)):
        if header.count(name) != 1:
            what = "no" if name not in header else "more than one"
            found = ", ".join(map(repr, header))[:200]
            raise CannotTell(
                f"{place}: {what} column {name!r} (found: {found}): mend it, or name yours in configs/data.yaml"
            )
    return header


def _jsonl_records(path: Path, content: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CannotTell(f"{place}: not valid JSON ({error}): write one object a line") from error
        if not isinstance(record, dict):
            raise CannotTell(f"{place}: not a JSON object: write one object a line")
        yield place, record


def _row(record: dict[str, Any], place: str, columns: Columns, labels: tuple[str, ...]) -> RawRow:
    text = _field(record, columns.text, place)
    label = _field(record, columns.label, place).strip()
    if label not in labels:
        what = "empty label" if label.lower() in EMPTY else "unknown label"
        known = ", ".join(labels)[:200]
        raise CannotTell(
            f"{place}: {what} {label[:80]!r} (known: {known}): mend the row, or `labels` in configs/data.yaml"
        )
    if not text.strip():
        raise CannotTell(f"{place}: empty text: write one, or delete the row")
    group = _field(record, columns.group, place).strip() if columns.group else None
    if group == "":
        raise CannotTell(f"{place}: empty {columns.group!r}: write one, or set `group: null` in configs/data.yaml")
    split = _field(record, columns.split, place).strip() if columns.split else None
    if split is not None and split not in SPLIT_NAMES:
        raise CannotTell(f"{place}: unknown split {split[:80]!r} (known: {', '.join(SPLIT_NAMES)}): mend the row")
    return RawRow(text, label, group, split, place)


def _field(record: dict[str, Any], name: str, place: str) -> str:
    """Return a value as text. A missing value becomes empty; whole numbers are how some tables write labels."""
    if name not in record:
        found = ", ".join(map(repr, record))[:200]
        raise CannotTell(f"{place}: no key {name!r} (found: {found}): mend the row, or name yours in configs/data.yaml")
    value = record[name]
    if value is None or value != value:  # noqa: PLR0124  # NaN is the one value that differs from itself
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise CannotTell(f"{place}: {name!r} is not a text ({str(value)[:80]}): write it between double quotes")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise CannotTell(f"{place}: {name!r} holds half a character (a lone surrogate): mend the row") from error
    return value
