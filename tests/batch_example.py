"""A small model, its configuration for batch scoring, and rows as every format writes them. Heavy imports wait."""

import csv
import gzip
import io
import json

from tests.small import fit_tfidf, seal_small, small_rows

from textgate.batch.settings import BatchConfig, Processes, RayLimits

ONE = Processes(tfidf=1, transformer=1, ensemble=1)
PATIENT = RayLimits(start_seconds=120, answer_seconds=120, deaths=3)
LIMIT = 2000  # bytes a row


def settings(**changes):
    """Return windows of ten rows, scored in one thread, committed each."""
    usual = BatchConfig(
        window_rows=10, window_bytes=5000, row_bytes=LIMIT, commit_seconds=0.0001, processes=ONE, ray=PATIENT
    )
    return usual.model_copy(update=changes)


def sealed(folder):
    """Return the folder of a sealed tfidf bundle."""
    folder.mkdir()
    fit_tfidf().save(folder)
    seal_small(folder)
    return folder


def records(count):
    """Return rows with an id: texts of two lines, with quotes, commas and letters of many bytes among them."""
    odd = ('a "quoted" road', "snow,\nice", "🏔 fjord", "heat\r\nsand", " palm ")
    texts = [odd[number % 5] if number % 7 == 0 else text for number, text in enumerate(small_rows(count)[0])]
    return [{"id": f"r{number}", "text": text} for number, text in enumerate(texts)]


def as_bytes(rows, form):
    """Return rows in a format, `parquet` excepted."""
    if form.startswith("jsonl"):
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    else:
        text = io.StringIO()
        writer = csv.DictWriter(text, ["id", "text"])
        writer.writeheader()
        writer.writerows(rows)
        content = text.getvalue().encode()
    return gzip.compress(content, mtime=0) if form.endswith(".gz") else content


def write_rows(path, rows):
    """Write rows in the format that the path's name says."""
    form = path.name.split(".", 1)[1]
    if form == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=25)
    else:
        path.write_bytes(as_bytes(rows, form))
    return path


def read_back(path):
    """Return what was written to a file, as a list of the records that JSONL would hold."""
    form = path.name.split(".", 1)[1]
    if form == "parquet":
        from pyarrow import parquet

        return parquet.read_table(path).to_pylist()
    content = path.read_bytes()
    text = (gzip.decompress(content) if form.endswith(".gz") else content).decode()
    if form.startswith("jsonl"):
        return [json.loads(line) for line in text.split("\n")[:-1]]
    return [_nested(row) for row in csv.DictReader(io.StringIO(text, newline=""))]


def _nested(row):
    shares = {name.partition(".")[2]: float(row[name]) for name in row if name.startswith("probabilities.")}
    named = {name: value for name, value in row.items() if not name.startswith("probabilities.")}
    return named | {
        "row": int(row["row"]),
        "id": row["id"] or None,
        "confidence": float(row["confidence"]),
        "probabilities": shares,
    }


def rejects(path):
    """Return the rejected rows beside an output."""
    found = path.with_name(path.name + ".rejects.jsonl")
    return [json.loads(line) for line in found.read_text().splitlines()] if found.exists() else []
