"""configs/data.yaml into four split files and a report on them: read, clean, split, check for leaks, validate, lock."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from textgate import records
from textgate.config import DataConfig
from textgate.data.cleaning import CleanRow, clean, letters
from textgate.data.expectations import validate
from textgate.data.near_duplicates import TrainingTexts
from textgate.data.reference import reference
from textgate.data.sources import Material, read_source
from textgate.data.splitting import Splits, split_rows
from textgate.data.tables import SPLIT_NAMES
from textgate.errors import CannotTell, Refused
from textgate.evidence import DataReport
from textgate.files import sha256_bytes
from textgate.rows import SPLITS, Row, fingerprint
from textgate.sentences import load_sentences

ALSO_INSIDE = "also among the main rows"
LABELS_SHOWN = 12  # in the terminal: more do not fit into a line


@dataclass(frozen=True)
class Prepared:
    """What is to be written: a file for each split, the data's licences, and the report on them."""

    files: dict[str, bytes]
    report: DataReport


def prepare(config: DataConfig, config_file: Path, docs: Path) -> Prepared:
    """Do all that `make data` does except for writing the rows. Great Expectations' pages go to the folder `docs`.

    Raises CannotTell for rows or settings that cannot be used, Refused for a leak between splits, a broken
    expectation, or test rows other than the locked ones.
    """
    _check(config, config_file)
    main = read_source(config.source, config.labels)
    outside = read_source(config.external, config.labels) if config.external else None
    cleaned = clean(main.rows, config.clean, own=main.own)
    dropped = main.dropped + cleaned.dropped
    splits = split_rows(cleaned.rows, config.split, config.labels, config.min_rows_per_label)
    splits["external"], dropped_outside = _external(outside, cleaned.rows, config)
    dropped.update({f"external: {reason}": rows for reason, rows in dropped_outside.items()})
    files = {f"{name}.jsonl": _jsonl(splits[name]) for name in SPLITS}
    test_sha256 = _locked(files["test.jsonl"], config.test_sha256, config_file)
    near, examples, notes = _near(splits, config.near_duplicate_similarity)
    met = validate(_table(splits), Path(config.expectations), _values(config), docs)
    files |= {_licence_file(one): one.licence for one in (main, outside) if one and one.licence}
    report = DataReport(
        source=main.name,
        licence=config.source.licence,
        fingerprint=fingerprint([sha256_bytes(files[f"{name}.jsonl"]) for name in SPLITS]),
        test_sha256=test_sha256,
        test_locked=config.test_sha256 is not None,
        labels=config.labels,
        rows={name: _by_label(rows, config.labels) for name, rows in splits.items()},
        dropped=dict(dropped.most_common()),
        near_duplicates=near,
        near_duplicate_examples=examples,
        expectations=met,
        notes=(*_notes(config, config_file, test_sha256), *notes),
        reference=reference([row.text for row in splits["train"]], [row.label for row in splits["train"]]),
    )
    return Prepared(files, report)


def write(prepared: Prepared, folder: Path) -> None:
    """Replace `folder` as a whole: a kill leaves the old rows or none, never a mixture."""
    new, old = (folder.with_name(f".{folder.name}-{word}") for word in ("new", "old"))
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        for name, content in prepared.files.items():
            (new / name).write_bytes(content)
        records.write(new / "data.json", prepared.report)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def summary(report: DataReport) -> str:
    """Return rows per split and label, what was dropped, and what to know, as lines for the terminal."""
    labels = report.labels
    if more := len(labels) > LABELS_SHOWN:
        labels = tuple(sorted(labels, key=report.rows["train"].__getitem__)[:LABELS_SHOWN])
    width = max(8, *(len(label) + 2 for label in labels))
    lines = ["          " + "".join(f"{label:>{width}}" for label in (*labels, "all"))]
    for name, counts in report.rows.items():
        figures = [*(counts[label] for label in labels), sum(counts.values())]
        lines.append(f"{name:<10}" + "".join(f"{figure:>{width}}" for figure in figures))
    if more:
        lines.append(f"of {len(report.labels)} labels, the {LABELS_SHOWN} with the fewest training rows are shown")
    lines += [f"dropped {rows}: {reason}" for reason, rows in report.dropped.items()]
    lines += [f"nearly a training row: {rows} in {name}" for name, rows in report.near_duplicates.items()]
    lines += [f"note: {note}" for note in report.notes]
    lock = "locked" if report.test_locked else "not locked"
    rows = sum(sum(counts.values()) for counts in report.rows.values())
    lines.append(f"data: {rows} rows from {report.source}, {report.expectations} expectations met, test rows {lock}")
    return "\n".join(lines)


def _check(config: DataConfig, config_file: Path) -> None:
    """Look for settings that cannot work before anything is fetched."""
    if getattr(config.external, "split", None):
        raise CannotTell(f"{config_file}: external.split: external rows are one split: delete this key")
    if config.sentences:
        load_sentences(Path(config.sentences), config.labels)


def _external(
    outside: Material | None, main: tuple[CleanRow, ...], config: DataConfig
) -> tuple[list[CleanRow], Counter[str]]:
    """Return the external rows that are not among the main rows, and why others were dropped."""
    if outside is None:
        return [], Counter()
    cleaned = clean(outside.rows, config.clean, own=outside.own)
    inside = {letters(row.text) for row in main}
    kept = [row for row in cleaned.rows if letters(row.text) not in inside]
    if not kept:
        raise CannotTell(
            f"no external row from {outside.name} is left after cleaning: mend it, or set `external: null`"
        )
    return kept, outside.dropped + cleaned.dropped + Counter({ALSO_INSIDE: len(cleaned.rows) - len(kept)})


def _licence_file(material: Material) -> str:
    return f"LICENCE-{material.name.replace('==', '-')}.txt"


def _jsonl(rows: Iterable[CleanRow]) -> bytes:
    """Return a split file. Rows are ordered by their id, so that the order of the source changes nothing."""
    made = sorted((sha256_bytes(row.text.encode())[:16], row.text, row.label, row.group) for row in rows)
    lines = (json.dumps(dict(zip(Row.model_fields, one, strict=True)), ensure_ascii=False) + "\n" for one in made)
    return "".join(lines).encode()


def _locked(test: bytes, expected: str | None, config_file: Path) -> str:
    actual = sha256_bytes(test)
    if expected not in (None, actual):
        found = f"the test rows are not the locked ones: they have the sha256 {actual}, locked is {expected}"
        raise Refused(f"{found}: if that is meant, write this line into {config_file}: test_sha256: {actual}")
    return actual


def _near(splits: Splits, similarity: float) -> tuple[dict[str, int], tuple[tuple[str, str], ...], list[str]]:
    """Compare valid and test with train. Returns counts, examples (those of test first), and notes on the bound."""
    training = TrainingTexts([row.text for row in splits["train"]], similarity)
    counts: dict[str, int] = {}
    examples: list[tuple[str, str]] = []
    notes = []
    for name in ("valid", "test"):
        # by hash, so that the rows looked at are a fair sample where not all of them can be
        texts = sorted((row.text for row in splits[name]), key=lambda text: sha256_bytes(text.encode()))
        found = training.near(texts, f"near-duplicates in {name}")
        counts[name] = found.rows
        examples[:0] = found.examples
        if found.checked < len(texts):
            notes.append(
                f"near-duplicates were looked for in {found.checked} of {len(texts)} {name} rows, drawn by hash"
            )
    return counts, tuple(examples), notes


def _table(splits: Splits) -> list[tuple[str, str, str, str, str]]:
    return [(row.text, row.label, row.group, name, row.place) for name in SPLITS for row in splits[name]]


def _values(config: DataConfig) -> dict[str, object]:
    """Return what an expectation may name as `$PARAMETER`."""
    return {
        "labels": list(config.labels),
        "splits": [*SPLIT_NAMES, *(["external"] if config.external else [])],
        "min_characters": config.clean.min_characters,
        "max_characters": config.clean.max_characters,
    }


def _by_label(rows: Iterable[CleanRow], labels: tuple[str, ...]) -> dict[str, int]:
    counts = Counter(row.label for row in rows)
    return {label: counts[label] for label in labels}


def _notes(config: DataConfig, config_file: Path, test_sha256: str) -> list[str]:
    notes = []
    if config.test_sha256 is None:
        notes.append(
            f"the test rows are not locked; to lock them, write into {config_file}: test_sha256: {test_sha256}"
        )
    if config.external is None:
        notes.append("there are no external rows: nothing shows how the model does away from home")
    if config.sentences is None:
        notes.append("there are no plain sentences that any release must get right")
    return notes
