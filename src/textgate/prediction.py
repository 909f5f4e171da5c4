"""A row of probabilities into the object that is given to whoever asked: label, probabilities, and which model said it.

output.schema.json beside this module is the public form of the same object (JSON Schema 2020-12).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgate.errors import Refused
from textgate.records import Record, Sha256, Share

SCHEMA = Path(__file__).with_name("output.schema.json")
ROUNDING = 1e-5  # sums of 32-bit floats are off by about 1e-7 a label


class Prediction(Record):
    """What the model says about one text."""

    label: str
    probabilities: dict[str, Share]
    model_digest: Sha256


def prediction(row: NDArray[np.float64], labels: Sequence[str], model_digest: str) -> Prediction:
    """Return the prediction for one row of probabilities, of shape (labels,); of equal ones the first label wins.

    Raises Refused if the row is no probability distribution over the labels: such an answer is given to nobody.
    """
    values = np.asarray(row, np.float64)
    if values.shape != (len(labels),):
        raise Refused(f"the model gave an answer of shape {values.shape} for {len(labels)} labels")
    if not np.isfinite(values).all() or values.min() < -ROUNDING or abs(values.sum() - 1) > ROUNDING:
        raise Refused(f"the model gave {values.tolist()}, which are not probabilities that add up to 1")
    shares = (float(value) for value in values.clip(0, 1))
    probabilities = dict(zip(labels, shares, strict=True))
    return Prediction(label=labels[int(values.argmax())], probabilities=probabilities, model_digest=model_digest)


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one prediction."""
    content: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return content
