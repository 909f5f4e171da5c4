"""The kind `tfidf`: character n-grams and a linear support vector machine, with calibrated probabilities.

Files: tfidf.json (n-grams in column order, temperature) and tfidf.safetensors (idf, weights, biases).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer

from textgate.config import Tfidf
from textgate.files import read_text, write_text
from textgate.models.calibration import fit_temperature, softmax
from textgate.models.classifier import Probabilities
from textgate.records import Above0, Count, Record

WINDOW = 4096  # texts scored at once, so that memory does not grow with their number


class _Vocabulary(Record):
    """tfidf.json."""

    min_n: Count
    max_n: Count
    temperature: Above0
    ngrams: tuple[str, ...]


class TfidfClassifier:
    """Joachims (1998), "Text categorization with support vector machines", on character n-grams within words."""

    def __init__(
        self, labels: tuple[str, ...], vocabulary: _Vocabulary, tensors: dict[str, NDArray[np.float32]]
    ) -> None:
        """Take the weights as stored: idf (features), coef (labels, features), bias (labels)."""
        self.labels = labels
        self._vocabulary = vocabulary
        self._tensors = tensors
        self._vectorizer = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(vocabulary.min_n, vocabulary.max_n),
            sublinear_tf=True,
            dtype=np.float32,
            vocabulary={ngram: column for column, ngram in enumerate(vocabulary.ngrams)},
        )
        self._vectorizer.idf_ = tensors["idf"]
        if tensors["coef"].shape != (len(labels), len(vocabulary.ngrams)):
            raise ValueError(
                f"weights of shape {tensors['coef'].shape} do not fit {len(labels)} labels and the n-grams"
            )

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        targets: NDArray[np.int64],
        valid: tuple[Sequence[str], NDArray[np.int64]],
        labels: tuple[str, ...],
        config: Tfidf,
        seed: int,
    ) -> TfidfClassifier:
        """Train on texts and their label indices; the temperature alone is fitted on the validation rows."""
        from sklearn.svm import LinearSVC

        vectorizer = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(config.min_n, config.max_n),
            min_df=config.min_df,
            sublinear_tf=True,
            dtype=np.float32,
        )
        features = vectorizer.fit_transform(texts)
        machine = LinearSVC(C=config.c, class_weight="balanced", random_state=seed).fit(features, targets)
        coef, bias = machine.coef_, machine.intercept_
        if len(labels) == 2:  # scikit-learn keeps one row of weights for two labels
            coef, bias = np.concatenate([-coef, coef]) / 2, np.concatenate([-bias, bias]) / 2
        tensors = {
            "idf": np.asarray(vectorizer.idf_, np.float32),
            "coef": np.ascontiguousarray(coef, np.float32),
            "bias": np.ascontiguousarray(bias, np.float32),
        }
        ngrams = tuple(map(str, vectorizer.get_feature_names_out()))
        raw = cls(labels, _Vocabulary(min_n=config.min_n, max_n=config.max_n, temperature=1.0, ngrams=ngrams), tensors)
        temperature = fit_temperature(raw._margins(valid[0]), valid[1])
        return cls(labels, raw._vocabulary.model_copy(update={"temperature": temperature}), tensors)

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Return probabilities of shape (texts, labels)."""
        return softmax(self._margins(texts) / self._vocabulary.temperature)

    def _margins(self, texts: Sequence[str]) -> Probabilities:
        parts = [np.empty((0, len(self.labels)))]
        for start in range(0, len(texts), WINDOW):
            features = self._vectorizer.transform(texts[start : start + WINDOW])
            parts.append(np.asarray(features @ self._tensors["coef"].T + self._tensors["bias"], np.float64))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write tfidf.json and tfidf.safetensors."""
        write_text(folder / "tfidf.json", self._vocabulary.model_dump_json() + "\n")
        save_file(self._tensors, folder / "tfidf.safetensors")

    @classmethod
    def load(cls, folder: Path, labels: tuple[str, ...]) -> TfidfClassifier:
        """Open what `save` wrote. Raises ValueError if files and labels do not belong together."""
        vocabulary = _Vocabulary.model_validate_json(read_text(folder / "tfidf.json", "train again"))
        return cls(labels, vocabulary, load_file(folder / "tfidf.safetensors"))
