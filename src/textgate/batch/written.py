"""Predictions into bytes of each format. What is written for a window is appended to what is written before it.

Every format is a head, followed by what each window gives. Of gzip, these are members of their own. Parquet cannot be
appended to: its windows are batches of an Arrow stream, which becomes Parquet when all are there.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from textgate.batch.formats import Format
from textgate.batch.rows import Row
from textgate.prediction import Prediction

GROUP = 1 << 16  # rows of a row group: windows are too small to be read fast
LEVEL = 6  # what the command gzip does


def head(labels: Sequence[str], form: Format) -> bytes:
    """Return what stands before the first window."""
    if form == "parquet":
        return bytes(_schema(labels).serialize())
    if form.startswith("jsonl"):
        return b""
    names = [f"probabilities.{label}" for label in labels]
    return _packed(_csv([["row", "id", "label", "confidence", *names, "model_digest", "model_version"]]), form)


def written(rows: Sequence[Row], predictions: Sequence[Prediction], version: str, form: Format) -> bytes:
    """Return what is written for some rows, at least one, and their predictions."""
    records = [_record(row, found, version) for row, found in zip(rows, predictions, strict=True)]
    if form == "parquet":
        return _arrow(records)
    if form.startswith("jsonl"):
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        return _packed(text.encode("utf-8", "backslashreplace"), form)  # half a character, as JSON writes it
    return _packed(_csv(_flat(record) for record in records), form)


def to_parquet(stream: Path, target: Path) -> None:
    """Turn the head and the windows of the format parquet into a Parquet file."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    with pa.OSFile(str(stream)) as file:
        reader = pa.ipc.open_stream(file)
        with ParquetWriter(target, reader.schema) as writer:
            held, rows = [], 0
            for batch in reader:
                held.append(batch)
                rows += batch.num_rows
                if rows >= GROUP:
                    writer.write_table(pa.Table.from_batches(held))
                    held, rows = [], 0
            writer.write_table(pa.Table.from_batches(held, reader.schema))


def _record(row: Row, found: Prediction, version: str) -> dict[str, Any]:
    return {
        "row": row.number,
        "id": row.id,
        "label": found.label,
        "confidence": found.probabilities[found.label],
        "probabilities": found.probabilities,
        "model_digest": found.model_digest,
        "model_version": version,
    }


def _flat(record: dict[str, Any]) -> Iterator[Any]:
    for name, value in record.items():
        yield from value.values() if name == "probabilities" else (value,)


def _csv(lines: Iterable[Iterable[Any]]) -> bytes:
    """Return lines that end with a line feed. Only where lines may end in CR does Python 3.11 quote one."""
    kept = SimpleNamespace(lines=[])
    kept.write = kept.lines.append
    csv.writer(kept, lineterminator="\r\n").writerows(lines)
    return "".join(line.removesuffix("\r\n") + "\n" for line in kept.lines).encode("utf-8", "replace")


def _packed(content: bytes, form: Format) -> bytes:
    return gzip.compress(content, LEVEL, mtime=0) if form.endswith(".gz") else content


def _arrow(records: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa

    for record in records:
        record["id"] = record["id"] and record["id"].encode("utf-8", "replace").decode()
    schema = _schema(list(records[0]["probabilities"]))
    return bytes(pa.RecordBatch.from_pylist(records, schema).serialize())


def _schema(labels: Sequence[str]) -> Any:
    import pyarrow as pa

    shares = pa.struct([(label, pa.float64()) for label in labels])
    return pa.schema(
        [
            ("row", pa.int64()),
            ("id", pa.string()),
            ("label", pa.string()),
            ("confidence", pa.float64()),
            ("probabilities", shares),
            ("model_digest", pa.string()),
            ("model_version", pa.string()),
        ]
    )
