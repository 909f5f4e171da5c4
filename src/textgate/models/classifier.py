"""The one interface that every kind of model has, and how a bundle becomes one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from textgate.bundle import Manifest, digest, verify
from textgate.errors import Refused, TextgateError

Probabilities = NDArray[np.float64]


class TextClassifier(Protocol):
    """Text in, one probability a label out. Each kind lives in the module of its name and adds a `fit` of its own."""

    labels: tuple[str, ...]

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Return an array of shape (texts, labels) whose rows add up to 1. Takes any str, also an empty one."""

    def predict(self, texts: Sequence[str]) -> tuple[Probabilities, list[float]]:
        """Return what `predict_proba` does, and the share of each text, 0 to 1, that the model has never seen.

        It is the share of its tokens or n-grams, 0 for a text without any. A text of another language or of noise
        shows here before it shows in accuracy, which needs labels.
        """

    def save(self, folder: Path) -> None:
        """Write data files (no code, no pickle) into an existing folder."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, opened."""

    path: Path
    digest: str
    manifest: Manifest
    classifier: TextClassifier


def open_bundle(path: Path, expected: str | None = None) -> Bundle:
    """Verify a bundle and open its model. Raises CannotTell (no bundle) or Refused (altered, foreign, unknown kind)."""
    manifest = verify(path, expected)
    return open_verified(path, manifest, expected or digest(path))


def open_verified(path: Path, manifest: Manifest, verified: str) -> Bundle:
    """Open the model of a bundle that was just verified and has this digest. Raises as `open_bundle` does."""
    try:
        classifier = load_classifier(manifest.kind, path, manifest.labels)
    except TextgateError:
        raise
    except Exception as error:  # its readers in C++ and Rust raise bare exceptions
        reason = " ".join(str(error).split())[:300]
        raise Refused(f"{path}: the {manifest.kind} model in it cannot be opened: {reason}") from error
    return Bundle(path, verified, manifest, classifier)


def load_classifier(kind: str, path: Path, labels: tuple[str, ...]) -> TextClassifier:
    """Open the files of one kind of model. Raises what its loader raises; call `open_bundle` for a bundle."""
    if kind == "tfidf":
        from textgate.models.tfidf import TfidfClassifier

        return TfidfClassifier.load(path, labels)
    if kind == "transformer":
        from textgate.models.transformer import TransformerClassifier

        return TransformerClassifier.load(path, labels)
    if kind == "ensemble":
        from textgate.models.ensemble import EnsembleClassifier

        return EnsembleClassifier.load(path, labels)
    raise Refused(f"{path}: unknown kind of model {kind!r} (known: tfidf, transformer, ensemble)")
