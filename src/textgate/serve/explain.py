"""Why a model gave a text its label: what each part of the text adds to the probability of each label.

The parts are the players of a game whose value is what the model says about the text that is left when the others are
taken out; the model is asked for probabilities and nothing else, so every kind can be explained.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np
from pydantic import FiniteFloat

from textgate.models.classifier import Bundle
from textgate.prediction import prediction
from textgate.records import Count, Record, Share
from textgate.serve.problems import Problem
from textgate.serve.settings import ExplainConfig
from textgate.serve.shapley import Row, exact_players, most_players, shapley
from textgate.serve.text_parts import parts, without

NICENESS = 10  # of the threads that explain: predictions come first when the cores are busy


class Part(Record):
    """A stretch of the text and what it adds."""

    text: str
    start: Count  # in characters (code points)
    end: Count
    contribution: dict[str, FiniteFloat]  # by label; over all parts they add up to `probabilities` less `base`


class Explanation(Record):
    """One text explained."""

    label: str
    probabilities: dict[str, Share]
    base: dict[str, Share]  # what the model says about an empty text
    parts: tuple[Part, ...]
    method: Literal["exact", "sampled"]
    evaluations: Count  # texts that the model was asked about
    standard_error: FiniteFloat | None  # the largest of any contribution; null if the time was too short to tell


def explanation(bundle: Bundle, text: str, evaluations: int, go_on: Callable[[], bool]) -> Explanation | None:
    """Explain a text by at most `evaluations` (or 3) answers of a model, for as long as `go_on` says so.

    The same text gets the same explanation, if time does not end it. Returns None if it ended before there was any.
    Raises Refused if the model's answer is no probability distribution.
    """
    labels = bundle.manifest.labels
    spans = parts(text, few=exact_players(evaluations), most=most_players(evaluations))

    def value(stays: int) -> Row:
        return np.asarray(bundle.classifier.predict_proba([without(text, spans, stays)])[0], np.float64)

    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    found = shapley(len(spans), value, evaluations, seed, go_on)
    if found is None:
        return None
    answer = prediction(found.full, labels, bundle.digest)
    return Explanation(
        label=answer.label,
        probabilities=answer.probabilities,
        base=prediction(found.empty, labels, bundle.digest).probabilities,
        parts=tuple(
            Part(text=text[start:end], start=start, end=end, contribution=dict(zip(labels, row.tolist(), strict=True)))
            for (start, end), row in zip(spans, found.values, strict=True)
        ),
        method=found.method,
        evaluations=found.evaluations,
        standard_error=found.standard_error,
    )


class Explainer:
    """Explains in threads of its own, a few texts at once and each for a limited time, behind all predictions."""

    def __init__(self, config: ExplainConfig) -> None:
        """Take the limits of the section `explain`."""
        self._config = config
        self._places = threading.BoundedSemaphore(config.at_once)
        self._pool = ThreadPoolExecutor(config.at_once, "explain", initializer=_step_back)

    async def explain(self, bundle: Bundle, text: str) -> Explanation:
        """Explain a text. Raises Problem 503 if too many are being explained, or if the time was too short.

        A caller who is cancelled makes the thread stop at its next question; only then its place is free.
        """
        if not self._places.acquire(blocking=False):
            raise self._problem("Other texts are being explained. Ask again in a moment.")
        over = threading.Event()
        future = self._pool.submit(self._explain, bundle, text, over)
        future.add_done_callback(self._free)
        try:
            found = await asyncio.wrap_future(future)
        finally:
            over.set()
        if found is None:
            seconds = f"{self._config.seconds:g}"
            raise self._problem(f"The text could not be explained in {seconds} seconds. Send a shorter one, or wait.")
        return found

    def _explain(self, bundle: Bundle, text: str, over: threading.Event) -> Explanation | None:
        end = time.monotonic() + self._config.seconds
        return explanation(bundle, text, self._config.evaluations, lambda: time.monotonic() < end and not over.is_set())

    def _free(self, _: Future[Explanation | None]) -> None:
        self._places.release()

    def _problem(self, detail: str) -> Problem:
        return Problem(503, detail, {"Retry-After": str(max(1, round(self._config.seconds)))})

    def close(self) -> None:
        """End the threads, once what they explain is done."""
        self._pool.shutdown()


def _step_back() -> None:
    """Let this thread run after the others; Linux alone gives a thread a niceness of its own."""
    if os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
