"""The kind `tfidf`: character n-grams and a linear support vector machine, with calibrated probabilities.

Files: tfidf.json (n-grams in column order, temperature) and tfidf.safetensors (idf, weights, biases).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from textgate.config import Tfidf
from textgate.errors import CannotTell
from textgate.files import read_text, write_text
from textgate.models.calibration import fit_temperature, softmax
from textgate.models.classifier import Probabilities
from textgate.models.ngrams import columns_of
from textgate.records import Above0, Count, Record


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
        features = len(vocabulary.ngrams)
        for name, shape in {"coef": (len(labels), features), "idf": (features,), "bias": (len(labels),)}.items():
            if tensors[name].shape != shape:
                what = {"coef": "weights"}.get(name, name)
                raise ValueError(
                    f"{what} of shape {tensors[name].shape} do not fit {len(labels)} labels and the n-grams"
                )
        # A last column without weight stands for every unknown n-gram; one row a column is read in one piece.
        self._idf = np.append(tensors["idf"], np.float32(0))
        self._coef = np.zeros((features + 1, len(labels)), np.float32)
        self._coef[:-1] = tensors["coef"].T
        self._columns = columns_of(vocabulary.ngrams, vocabulary.min_n, vocabulary.max_n)

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
        """Train on texts and their label indices; the temperature alone is fitted on the validation rows.

        Raises CannotTell if no n-gram is in enough texts.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.svm import LinearSVC

        vectorizer = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(config.min_n, config.max_n),
            min_df=config.min_df,
            sublinear_tf=True,
            dtype=np.float32,
        )
        try:
            features = vectorizer.fit_transform(texts)
        except ValueError as error:
            lengths = f"{config.min_n} to {config.max_n} characters"
            found = f"no n-gram of {lengths} is in {config.min_df} of the {len(texts)} training texts"
            raise CannotTell(f"{found}: lower min_df or min_n in the experiment") from error
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

    def predict(self, texts: Sequence[str]) -> tuple[Probabilities, list[float]]:
        """Return probabilities, and the share of each text's n-grams that the training rows did not hold."""
        unknown, found = len(self._idf) - 1, [self._columns(text) for text in texts]
        margins = np.array([self._margin(columns) for columns in found]).reshape(-1, len(self.labels))
        shares = [columns.count(unknown) / len(columns) if columns else 0.0 for columns in found]
        return softmax(margins / self._vocabulary.temperature), shares

    def _margins(self, texts: Sequence[str]) -> Probabilities:
        margins = np.empty((len(texts), len(self.labels)))
        for row, text in enumerate(texts):  # one by one: no slower than a sparse matrix, and no larger for many
            margins[row] = self._margin(self._columns(text))
        return margins

    def _margin(self, found: list[int]) -> Probabilities:
        columns, counts = np.unique(np.array(found, np.int64), return_counts=True)
        weights = (1 + np.log(counts)) * self._idf[columns]
        length = np.sqrt(weights @ weights) or 1.0  # a text without a known n-gram is all zeros
        return np.asarray(weights @ self._coef.take(columns, 0) / length + self._tensors["bias"])

    def save(self, folder: Path) -> None:
        """Write tfidf.json and tfidf.safetensors."""
        write_text(folder / "tfidf.json", self._vocabulary.model_dump_json() + "\n")
        save_file(self._tensors, folder / "tfidf.safetensors")

    @classmethod
    def load(cls, folder: Path, labels: tuple[str, ...]) -> TfidfClassifier:
        """Open what `save` wrote. Raises ValueError if files and labels do not belong together."""
        vocabulary = _Vocabulary.model_validate_json(read_text(folder / "tfidf.json", "train again"))
        return cls(labels, vocabulary, load_file(folder / "tfidf.safetensors"))
