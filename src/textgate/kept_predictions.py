"""What `evaluate` wrote down about the test rows, for whoever judges it and need not ask the model all of it again.

predictions.jsonl names no bundle. metrics.json does, and holds how often each label was taken for each other: only
predictions that add up to the same table are taken to be about the same bundle.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, ValidationError

from textgate import records
from textgate.errors import CannotTell
from textgate.evidence import Metrics
from textgate.files import read_jsonl
from textgate.records import Record, Share
from textgate.rows import Rows

AGAIN = 'run "make evaluate" again'


@dataclass(frozen=True)
class Predictions:
    """What a model said about some rows, in their order."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]  # shape (rows,): of the label that was predicted


class _Line(Record):
    """What is of use here of a line of predictions.jsonl, which also tells what other models said."""

    model_config = ConfigDict(extra="ignore")

    split: str
    row: str
    label: str
    candidate: str
    candidate_probability: Share


def read_predictions(build: Path, rows: Rows, bundle_digest: str, data_fingerprint: str) -> Predictions | None:
    """Return what the bundle with this digest said about its test rows; None if that bundle was not evaluated.

    Raises CannotTell for predictions that are missing, not about these rows, or not those that metrics.json counted.
    """
    if not (build / "metrics.json").is_file():
        return None
    metrics = records.read(build / "metrics.json", Metrics, "evaluate")
    candidate = metrics.of("candidate")
    if candidate is None or (metrics.bundle_digest, metrics.data_fingerprint) != (bundle_digest, data_fingerprint):
        return None
    path = build / "predictions.jsonl"
    lines = _test_lines(path)
    if [(line.row, line.label) for line in lines] != list(zip(rows.ids, rows.labels, strict=True)):
        raise CannotTell(f"{path} is not about the rows in {build / 'data' / 'test.jsonl'}: {AGAIN}")
    counted = {(label, said): n for label, row in candidate.test.confusion.items() for said, n in row.items()}
    if Counter((line.label, line.candidate) for line in lines) != counted:
        raise CannotTell(f"{path} does not hold the predictions that metrics.json counted: {AGAIN}")
    probabilities = np.array([line.candidate_probability for line in lines])
    return Predictions(tuple(line.candidate for line in lines), probabilities)


def _test_lines(path: Path) -> list[_Line]:
    lines = []
    for number, raw in enumerate(read_jsonl(path, AGAIN), start=1):
        try:
            line = _Line.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise CannotTell(f"{path}, line {number}: {first['msg']}: {AGAIN}") from error
        if line.split == "test":
            lines.append(line)
    return lines
