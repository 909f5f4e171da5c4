"""The model is right often enough: over all rows, over the labels, and for each label.

Scored by scikit-learn, not by textgate.metrics: a second opinion that does not share its mistakes.
"""

from __future__ import annotations

from collections import Counter

from sklearn.metrics import accuracy_score, f1_score

from textgate.config import Gates
from textgate.errors import CannotTell
from textgate.rows import Rows


def test_accuracy(rows: Rows, predicted: list[str], gates: Gates) -> None:
    found = accuracy_score(rows.labels, predicted)
    message = f"accuracy is {found:.3f} on {len(rows):,} test rows, the limit is {gates.min_accuracy:.3f}"
    assert found >= gates.min_accuracy, f"{message}; for example {_a_miss(rows, predicted)}"


def test_macro_f1(rows: Rows, predicted: list[str], gates: Gates) -> None:
    labels = sorted(set(rows.labels))
    scores = dict(
        zip(labels, f1_score(rows.labels, predicted, labels=labels, average=None, zero_division=0), strict=True)
    )
    found = sum(scores.values()) / len(scores)
    weakest = min(scores, key=lambda label: scores[label])
    message = f"macro-F1 is {found:.3f} on {len(rows):,} test rows, the limit is {gates.min_macro_f1:.3f}"
    assert found >= gates.min_macro_f1, f"{message}; the weakest label is {weakest} with {scores[weakest]:.3f}"


def test_label_f1(label: str, rows: Rows, predicted: list[str], gates: Gates) -> None:
    if label not in rows.labels:
        raise CannotTell(f"no test row has the label {label}, so its F1 cannot be told: add rows of it")
    found = f1_score(rows.labels, predicted, labels=[label], average=None, zero_division=0)[0]
    count = rows.labels.count(label)
    message = f"F1 of {label} is {found:.3f} on its {count:,} test rows, the limit is {gates.min_label_f1:.3f}"
    assert found >= gates.min_label_f1, f"{message}; {_confusion(label, rows, predicted)}"


def _a_miss(rows: Rows, predicted: list[str]) -> str:
    number = next(n for n, (right, said) in enumerate(zip(rows.labels, predicted, strict=True)) if right != said)
    return f"{rows.texts[number][:60]!r} is {rows.labels[number]} and was called {predicted[number]}"


def _confusion(label: str, rows: Rows, predicted: list[str]) -> str:
    """Say which other label it is mixed up with most, in either direction."""
    pairs = [pair for pair in zip(rows.labels, predicted, strict=True) if label in pair and pair[0] != pair[1]]
    (right, said), times = Counter(pairs).most_common(1)[0]
    return f"most often ({times} of {len(pairs)} mistakes) {right} was called {said}"
