"""A window of rows into the bytes that are written for it: pure, so that any process can do it, and again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from textgate.batch.formats import Format
from textgate.batch.rows import Place, Reject, Window
from textgate.batch.written import written
from textgate.errors import CannotTell, TextgateError
from textgate.models.classifier import Bundle, open_bundle
from textgate.prediction import Prediction, prediction


@dataclass(frozen=True)
class Model:
    """Which verified bundle answers."""

    path: Path
    digest: str
    version: str
    kind: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What is appended to the output and to the rejects, for how many rows, and the place behind them."""

    output: bytes
    rejects: bytes
    scored: int
    rejected: int
    place: Place
    share: float | None


def answer(window: Window, model: Model, form: Format) -> Answer:
    """Score a window. Raises Refused if the bundle was changed meanwhile, CannotTell if the model fails on a text."""
    return answer_with(_opened(model.path, model.digest), window, model.version, form)


def answer_with(bundle: Bundle, window: Window, version: str, form: Format) -> Answer:
    """Score a window with an opened bundle. Raises CannotTell if the model fails on a text."""
    predictions = score([row.text for row in window.rows], bundle)
    output = written(window.rows, predictions, version, form) if predictions else b""
    rejects = b"".join(map(reject_line, window.rejects))
    return Answer(output, rejects, len(window.rows), len(window.rejects), window.place, window.share)


def score(texts: Sequence[str], bundle: Bundle) -> list[Prediction]:
    """Return a prediction for each text, in their order; equal texts are scored once.

    The longest go first: where texts are shared out among threads, none then waits for a long last one.
    """
    distinct = sorted(dict.fromkeys(texts), key=len, reverse=True)
    try:
        rows = bundle.classifier.predict_proba(distinct)
    except (MemoryError, TextgateError):
        raise
    except Exception as error:  # readers in C++ and Rust raise bare exceptions
        reason = " ".join(str(error).split())[:300]
        raise CannotTell(f"{bundle.path}: the model fails on one of {len(distinct)} texts: {reason}") from error
    pairs = zip(distinct, rows, strict=True)
    known = {text: prediction(row, bundle.manifest.labels, bundle.digest) for text, row in pairs}
    return [known[text] for text in texts]


def reject_line(row: Reject) -> bytes:
    """Return a rejected row as a line of JSON, in ASCII: it may be shown on a terminal."""
    return json.dumps({"row": row.number, "reason": row.reason, "start": row.start}).encode() + b"\n"


@lru_cache(maxsize=1)
def _opened(path: Path, digest: str) -> Bundle:
    return open_bundle(path, digest)
