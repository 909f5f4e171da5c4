"""A fitted model that is asked for the validation rows again and again: by the ensemble on it, and for the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textgate.models.classifier import Probabilities, TextClassifier


class Remembered:
    """A model that scores one set of texts at most once; everything else is as it was."""

    def __init__(self, model: TextClassifier, texts: Sequence[str], known: Probabilities | None = None) -> None:
        """Take the texts, and the model's probabilities for them if there are any yet."""
        self.labels = model.labels
        self._model, self._texts, self._known = model, texts, known

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Return probabilities of shape (texts, labels)."""
        if texts is not self._texts:
            return self._model.predict_proba(texts)
        if self._known is None:
            self._known = self._model.predict_proba(texts)
        return self._known.copy()

    def predict(self, texts: Sequence[str]) -> tuple[Probabilities, list[float]]:
        """Return the model's answer."""
        return self._model.predict(texts)

    def save(self, folder: Path) -> None:
        """Write the model's files."""
        self._model.save(folder)
