"""The models that answer: champion and challenger, who of them is asked, and another one without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from textgate.models.processors import processors
from textgate.prediction import Prediction
from textgate.serve.batcher import Batcher, busy
from textgate.serve.metrics import MODEL_FAILURES, SHADOW
from textgate.serve.problems import Problem
from textgate.serve.reload import Loaded, Place
from textgate.serve.served import Scored, Served, Variant
from textgate.serve.settings import Lanes, ServeConfig
from textgate.serve.split import goes_to_challenger

LOG = logging.getLogger(__name__)


class Answered(NamedTuple):
    """What one model said about the texts of one request, in their order."""

    variant: Variant
    version: str
    digest: str
    predictions: tuple[Prediction, ...]
    unknown_shares: tuple[float, ...]
    seconds: float | None  # until it had answered, waiting included; None for what stood in no queue
    shadow: asyncio.Future[Answered] | None  # what the challenger says about them, if it is asked unseen


class Models:
    """The service's models. Everything here belongs to the event loop; the models themselves run in threads."""

    def __init__(self, config: ServeConfig) -> None:
        """Take the configuration; nothing is opened yet."""
        self._split, self._check_s = config.split, config.models.check_seconds
        self._champion = Place("champion", Path(config.models.champion), lambda served: _batcher(served, config))
        self._challenger: Place | None = None
        if config.models.challenger is not None:
            named, alone = Path(config.models.challenger), config.split.kind == "shadow"
            self._challenger = Place("challenger", named, lambda served: _batcher(served, config, alone=alone))
        self._watch: asyncio.Task[None] | None = None
        self._unseen: set[asyncio.Task[Answered]] = set()

    async def start(self) -> None:
        """Open, verify and warm up. Raises Refused or CannotTell if there is no champion that can answer."""
        await self._champion.open()
        await self.look()
        self._watch = asyncio.create_task(self._look_often())

    async def stop(self) -> None:
        """Answer what was accepted, then let go of the models."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        for place in self._places():
            await place.clear()
        await asyncio.gather(*self._unseen, return_exceptions=True)

    def ready(self) -> bool:
        """Say whether requests can be answered."""
        return self._champion.loaded is not None

    def loaded(self) -> dict[Variant, Served]:
        """Return what is loaded now."""
        return {place.variant: place.loaded.served for place in self._places() if place.loaded is not None}

    async def look(self) -> None:
        """Take in other models, if the folders hold other ones. Raises nothing that a folder can cause."""
        await self._champion.look()
        if self._challenger is not None and self._champion.loaded is not None:
            await self._challenger.look(self._champion.loaded.served.labels)

    async def predict(self, texts: Sequence[str], unit: str) -> Answered:
        """Return what a model says about some texts; `unit` is what the split hashes: a client's name or a request id.

        Raises Problem: 503 with Retry-After if too much waits already, 500 if the model fails on a text.
        """
        champion, challenger = self._champion.loaded, self._challenger_of(unit)
        if champion is None:
            raise busy(1, "no model is loaded")
        if challenger is None:
            return await _ask(champion, "champion", texts)
        if self._split.kind == "split":
            return await _ask(challenger, "challenger", texts)
        answered = await _ask(champion, "champion", texts)
        return answered._replace(shadow=self._ask_unseen(challenger, texts, answered))

    def too_long_s(self, texts: int, coming: int) -> float | None:
        """Return how long so many texts would wait behind others that come, if too long whoever answered them."""
        champion, challenger = self._champion.loaded, self._challenger
        wait_s = champion.batcher.too_long_s(texts, coming) if champion else None
        if wait_s is None or challenger is None or challenger.loaded is None or self._split.kind != "split":
            return wait_s
        others = challenger.loaded.batcher.too_long_s(texts, coming)
        return None if others is None else wait_s

    def answering(self, unit: str) -> tuple[Variant, Served]:
        """Return the model that a unit gets its answers from, to explain them. Raises Problem 503 if there is none."""
        challenger = self._challenger_of(unit) if self._split.kind == "split" else None
        if challenger is not None:
            return "challenger", challenger.served
        if self._champion.loaded is None:
            raise busy(1, "no model is loaded")
        return "champion", self._champion.loaded.served

    def _challenger_of(self, unit: str) -> Loaded | None:
        """Return the challenger if there is one and the unit is of its share."""
        challenger = self._challenger.loaded if self._challenger else None
        if challenger is None or self._split.kind == "none":
            return None
        chosen = goes_to_challenger(unit, challenger.served.bundle.digest, self._split.share)
        return challenger if chosen else None

    def _ask_unseen(
        self, challenger: Loaded, texts: Sequence[str], answered: Answered
    ) -> asyncio.Future[Answered] | None:
        if not challenger.batcher.has_room(len(texts)):
            SHADOW.labels("dropped").inc(len(texts))
            return None

        def compare(task: asyncio.Task[Answered]) -> None:
            self._unseen.discard(task)
            if task.cancelled() or task.exception() is not None:  # the batcher has logged it
                SHADOW.labels("dropped").inc(len(texts))
                return
            for one, other in zip(answered.predictions, task.result().predictions, strict=True):
                SHADOW.labels("yes" if one.label == other.label else "no").inc()

        task = asyncio.create_task(_ask(challenger, "challenger", texts))
        self._unseen.add(task)
        task.add_done_callback(compare)
        return task

    async def _look_often(self) -> None:
        while True:
            await asyncio.sleep(self._check_s)
            await self.look()

    def _places(self) -> list[Place]:
        return [place for place in (self._champion, self._challenger) if place is not None]


async def _ask(loaded: Loaded, variant: Variant, texts: Sequence[str]) -> Answered:
    began = time.perf_counter()
    try:
        scored = await loaded.batcher.answer(texts)
    except Problem as problem:
        if problem.status == 500:
            MODEL_FAILURES.labels(variant).inc()
        raise
    return Answered(
        variant=variant,
        version=loaded.served.version,
        digest=loaded.served.bundle.digest,
        predictions=tuple(one.prediction for one in scored),
        unknown_shares=tuple(one.unknown_share for one in scored),
        seconds=time.perf_counter() - began,
        shadow=None,
    )


def _batcher(served: Served, config: ServeConfig, *, alone: bool = False) -> Batcher[Scored]:
    """Return the queue of a model. One that is asked unseen has one lane: when all cores are busy it drops texts."""
    wanted: Lanes = getattr(config.batching, served.bundle.manifest.kind)
    each = max(1, processors() // config.listen.workers)
    lanes = wanted.model_copy(update={"lanes": 1 if alone else wanted.lanes or each})
    return Batcher(served.answer, lanes, config.limits)
