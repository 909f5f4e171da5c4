"""An answer into the audit log and the figures, before it is given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from typing import Literal

from prometheus_client import Counter, Histogram

from textgate.prediction import Prediction
from textgate.serve.audit.event import Event
from textgate.serve.audit.log import AuditLog
from textgate.serve.clock import utc
from textgate.serve.logs import LOG
from textgate.serve.metrics import (
    AUDIT_FAILURES,
    CONFIDENCE,
    MODEL_SECONDS,
    PREDICTIONS,
    TEXT_CHARACTERS,
    UNKNOWN_SHARE,
)
from textgate.serve.models import Answered
from textgate.serve.problems import Problem
from textgate.serve.served import Variant

Endpoint = Literal["predict", "explain"]


class Recorder:
    """Writes down who was told what."""

    def __init__(self, audit: AuditLog, *, keep_texts: bool) -> None:
        """Take the log."""
        self._audit, self._keep_texts = audit, keep_texts

    def record(self, request_id: str, client: str, endpoint: Endpoint, texts: Sequence[str], said: Answered) -> None:
        """Record an answer, and arrange that the challenger's is, if it is asked unseen. Raises Problem 503."""
        asked = (request_id, client, endpoint)
        try:
            self._audit.append(self._events(asked, texts, said, shadow=False))
        except OSError as error:
            AUDIT_FAILURES.inc()
            LOG.error("an answer could not be recorded", extra={"request_id": request_id, "reason": error.strerror})
            raise Problem(503, "The answer could not be recorded.", {"Retry-After": "5"}) from None
        asyncio.get_running_loop().call_soon(_count_all, texts, said)  # figures can wait until the answer is on its way
        if said.shadow is not None:
            said.shadow.add_done_callback(lambda shadow: self._unseen(asked, texts, shadow))

    def _unseen(
        self,
        asked: tuple[str, str, Endpoint],
        texts: Sequence[str],
        shadow: asyncio.Future[Answered],
    ) -> None:
        if shadow.cancelled() or shadow.exception() is not None:  # counted and logged by whoever asked
            return
        try:
            self._audit.append(self._events(asked, texts, shadow.result(), shadow=True))
        except OSError:
            AUDIT_FAILURES.inc()
        else:
            _count(shadow.result())

    def _events(
        self, asked: tuple[str, str, Endpoint], texts: Sequence[str], said: Answered, *, shadow: bool
    ) -> list[Event]:
        at, (request_id, client, endpoint) = utc(time.time()), asked
        return [
            Event(
                at=at,
                request_id=request_id,
                number=number,
                client=client,
                endpoint=endpoint,
                variant=said.variant,
                shadow=shadow,
                model_version=said.version,
                model_digest=said.digest,
                label=one.label,
                confidence=one.probabilities[one.label],
                text_sha256=sha256(text.encode()).hexdigest(),
                characters=len(text),
                words=len(text.split()),
                unknown_share=unknown,
                text=text if self._keep_texts else None,
            )
            for number, (text, one, unknown) in enumerate(_together(texts, said))
        ]


def _together(texts: Sequence[str], said: Answered) -> Iterable[tuple[str, Prediction, float]]:
    return zip(texts, said.predictions, said.unknown_shares, strict=True)


def _count_all(texts: Sequence[str], said: Answered) -> None:
    for text in texts:
        TEXT_CHARACTERS.observe(len(text))
    _count(said)


def _count(said: Answered) -> None:
    if said.seconds is not None:
        _seconds(said.variant).observe(said.seconds)
    for one, unknown in zip(said.predictions, said.unknown_shares, strict=True):
        predictions, confidence = _figures(said.variant, one.label)
        predictions.inc()
        confidence.observe(one.probabilities[one.label])
        UNKNOWN_SHARE.observe(unknown)


@cache
def _seconds(variant: Variant) -> Histogram:
    return MODEL_SECONDS.labels(variant)


@cache  # labels are few, and finding a figure by them takes longer than to count
def _figures(variant: Variant, label: str) -> tuple[Counter, Histogram]:
    return PREDICTIONS.labels(variant, label), CONFIDENCE.labels(variant)
