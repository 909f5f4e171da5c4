"""The kind `ensemble`: a weighted mean of two models' probabilities.

Files: ensemble.json (kinds and weights) and one folder a part, named by its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textgate.files import read_text, write_text
from textgate.models.classifier import Probabilities, TextClassifier, load_classifier
from textgate.records import Record, Share

STEPS = 20  # weights are multiples of 1/20


class _Parts(Record):
    """ensemble.json."""

    kinds: tuple[str, str]
    weights: tuple[Share, Share]


class EnsembleClassifier:
    """Two models of different kinds, each asked for every text."""

    def __init__(self, labels: tuple[str, ...], parts: dict[str, TextClassifier], weights: tuple[float, float]) -> None:
        """Take the opened parts by kind, and weights that add up to 1."""
        self.labels = labels
        self.weights = weights
        self._parts = parts

    @classmethod
    def fit(
        cls, parts: dict[str, TextClassifier], valid: tuple[Sequence[str], NDArray[np.int64]], labels: tuple[str, ...]
    ) -> EnsembleClassifier:
        """Choose the most even weights among those with the macro-F1 of the better part, or more, on validation rows.

        Both parts alone are among the choices, so there the ensemble is never worse than either. The best weight of
        all would fit the noise of those rows; the most even one keeps what each part knows that they do not show.
        """
        from sklearn.metrics import f1_score

        texts, targets = valid
        first, second = (part.predict_proba(texts) for part in parts.values())
        scores = []
        for step in range(STEPS + 1):
            mixed = (step * first + (STEPS - step) * second) / STEPS
            scores.append(f1_score(targets, mixed.argmax(axis=1), average="macro", zero_division=0))
        good = [step for step in range(STEPS + 1) if scores[step] >= max(scores[0], scores[STEPS])]
        best = min(good, key=lambda step: (abs(2 * step - STEPS), -scores[step]))
        return cls(labels, parts, (best / STEPS, 1 - best / STEPS))

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Return probabilities of shape (texts, labels)."""
        return self._mean([part.predict_proba(texts) for part in self._parts.values()])

    def predict(self, texts: Sequence[str]) -> tuple[Probabilities, list[float]]:
        """Return probabilities, and the weighted mean of the parts' shares of what is unknown."""
        parts, unknown = zip(*(part.predict(texts) for part in self._parts.values()), strict=True)
        return self._mean(parts), [sum(map(float.__mul__, self.weights, each)) for each in zip(*unknown, strict=True)]

    def _mean(self, parts: Iterable[Probabilities]) -> Probabilities:
        return np.asarray(sum(weight * part for weight, part in zip(self.weights, parts, strict=True)))

    def save(self, folder: Path) -> None:
        """Write ensemble.json and each part into a folder of its own."""
        kinds = tuple(self._parts)
        write_text(folder / "ensemble.json", _Parts(kinds=(kinds[0], kinds[1]), weights=self.weights).model_dump_json())
        for kind, part in self._parts.items():
            (folder / kind).mkdir()
            part.save(folder / kind)

    @classmethod
    def load(cls, folder: Path, labels: tuple[str, ...]) -> EnsembleClassifier:
        """Open what `save` wrote. Raises ValueError if files and labels do not belong together."""
        parts = _Parts.model_validate_json(read_text(folder / "ensemble.json", "train again"))
        if "ensemble" in parts.kinds or parts.kinds[0] == parts.kinds[1]:
            raise ValueError(f"an ensemble takes two different plain kinds, not {' and '.join(parts.kinds)}")
        if abs(sum(parts.weights) - 1) > 1e-9:
            raise ValueError(f"the weights of an ensemble add up to 1, not {sum(parts.weights):g}")
        return cls(labels, {kind: load_classifier(kind, folder / kind, labels) for kind in parts.kinds}, parts.weights)
