"""Labels that came later, as CSV or JSONL with request_id, label and perhaps number, into the truth about texts."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from textgate.errors import CannotTell
from textgate.files import read_jsonl

Key = tuple[str, int]  # request and number of the text in it
MAX_FILE_BYTES = 1024**3
MADE_BY = "write one row a text: request_id, label, and number if a request had several texts"


def read_labels(path: Path) -> dict[Key, str]:
    """Return the label of each text. Raises CannotTell, with file and line, for a row that cannot be used."""
    if not path.is_file():
        raise CannotTell(f"{path} is missing: {MADE_BY}")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CannotTell(f"{path} is larger than {MAX_FILE_BYTES >> 30} GiB: give the labels of one experiment")
    rows = _csv(path) if path.suffix.lower() == ".csv" else enumerate(read_jsonl(path, MADE_BY), start=1)
    found: dict[Key, str] = {}
    for line, row in rows:
        key, label = _row(row, f"{path}, line {line}")
        if found.setdefault(key, label) != label:
            raise CannotTell(f"{path}, line {line}: {key[0][:80]}, text {key[1]}, has another label above: keep one")
    if not found:
        raise CannotTell(f"{path} has no rows: {MADE_BY}")
    return found


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise CannotTell(f"{path}: no CSV in UTF-8 ({error}): {MADE_BY}") from error


def _row(row: Mapping[str, Any], place: str) -> tuple[Key, str]:
    request, label, number = row.get("request_id"), row.get("label"), row.get("number")
    if not (isinstance(request, str) and isinstance(label, str) and request.strip() and label.strip()):
        raise CannotTell(f"{place}: no request_id or no label: {MADE_BY}")
    if number in (None, ""):
        number = 0
    if isinstance(number, bool) or not str(number).strip().isdecimal() or len(str(number)) > 9:
        raise CannotTell(f"{place}: number {str(number)[:80]!r} is no whole number from 0: {MADE_BY}")
    return (request.strip(), int(number)), label.strip()
