"""The model is right often enough: over all rows, over the labels, and for each label.

Counted here from the definitions, not by textgate.evaluate: a second opinion that does not share its mistakes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from textgate.config import Gates
from textgate.errors import CannotTell
from textgate.kept_predictions import Predictions
from textgate.models.classifier import Bundle, Probabilities
from textgate.rows import Rows


def test_kept_predictions_are_what_the_bundle_says_now(
    bundle: Bundle, rows: Rows, order: list[int], predictions: Predictions, alone: Probabilities, gates: Gates
) -> None:
    """The labels that `evaluate` kept are worth nothing if they are another model's, or only another machine's."""
    numbers, columns = order[: len(alone)], bundle.manifest.labels
    kept = [columns.index(predictions.labels[number]) for number in numbers]
    off = np.abs(alone[range(len(numbers)), kept] - predictions.probabilities[numbers])
    worst, limit = int(off.argmax()), gates.max_batch_difference
    if not off[worst] <= limit:
        text = rows.texts[numbers[worst]][:60]
        message = f"the probability of {columns[kept[worst]]} for {text!r} is {off[worst]:.3f} off what evaluate kept"
        raise CannotTell(f'{message}, the limit is {limit:.3f}: run "make evaluate" again')


def test_accuracy(rows: Rows, predicted: Sequence[str], gates: Gates) -> None:
    found = sum(map(str.__eq__, rows.labels, predicted)) / len(rows)
    message = f"accuracy is {found:.3f} on {len(rows):,} test rows, the limit is {gates.min_accuracy:.3f}"
    assert found >= gates.min_accuracy, f"{message}; for example {_a_miss(rows, predicted)}"


def test_macro_f1(rows: Rows, predicted: Sequence[str], gates: Gates) -> None:
    scores = {label: _f1(label, rows, predicted) for label in sorted(set(rows.labels))}
    found = sum(scores.values()) / len(scores)
    weakest = min(scores, key=lambda label: scores[label])
    message = f"macro-F1 is {found:.3f} on {len(rows):,} test rows, the limit is {gates.min_macro_f1:.3f}"
    assert found >= gates.min_macro_f1, f"{message}; the weakest label is {weakest} with {scores[weakest]:.3f}"


def test_label_f1(label: str, rows: Rows, predicted: Sequence[str], gates: Gates) -> None:
    if label not in rows.labels:
        raise CannotTell(f"no test row has the label {label}, so its F1 cannot be told: add rows of it")
    found = _f1(label, rows, predicted)
    count = rows.labels.count(label)
    message = f"F1 of {label} is {found:.3f} on its {count:,} test rows, the limit is {gates.min_label_f1:.3f}"
    assert found >= gates.min_label_f1, f"{message}; {_confusion(label, rows, predicted)}"


def _f1(label: str, rows: Rows, predicted: Sequence[str]) -> float:
    """Return hits / (hits + half of all mistakes), for a label that the rows have."""
    hits = sum(right == said == label for right, said in zip(rows.labels, predicted, strict=True))
    return 2 * hits / (rows.labels.count(label) + predicted.count(label))


def _a_miss(rows: Rows, predicted: Sequence[str]) -> str:
    number = next(n for n, (right, said) in enumerate(zip(rows.labels, predicted, strict=True)) if right != said)
    return f"{rows.texts[number][:60]!r} is {rows.labels[number]} and was called {predicted[number]}"


def _confusion(label: str, rows: Rows, predicted: Sequence[str]) -> str:
    """Say which other label it is mixed up with most, in either direction."""
    pairs = [pair for pair in zip(rows.labels, predicted, strict=True) if label in pair and pair[0] != pair[1]]
    (right, said), times = Counter(pairs).most_common(1)[0]
    return f"most often ({times} of {len(pairs)} mistakes) {right} was called {said}"
