"""Texts of many requests into runs of one model: what waits is taken at once, and nothing waits for company.

A run takes what stands in the queue, up to a batch, or its part of it if several lanes are free; so batches grow by
themselves when the model is slower than the requests come, and a lone request never waits. Lanes run side by side in
threads. Short runs of a model that is all Python stay on the event loop's thread: handing them to another costs more
than they do, and both would want the GIL; if nobody waits, they do not even go through the queue.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic

from textgate.serve.lines import Answer, Lines, Request, Taken
from textgate.serve.metrics import BATCH, QUEUE
from textgate.serve.problems import Problem
from textgate.serve.settings import Lanes, Limits

LOG = logging.getLogger(__name__)
NEWEST = 0.2  # weight of the newest run in the mean time of a text: five runs ago still count for a third

Score = Callable[[Sequence[str]], Sequence[Answer]]


class Batcher(Generic[Answer]):
    """A model's queue and its lanes. All methods belong to the event loop; `score` alone runs in threads."""

    def __init__(self, score: Score[Answer], lanes: Lanes, limits: Limits) -> None:
        """Take what scores texts, in any number and from any thread, and the resolved lanes (none is 0)."""
        self._score, self._lanes, self._most_wait_s = score, lanes, limits.wait_ms / 1000
        self._lines: Lines[Answer] = Lines(limits.queue_texts)
        self._threads = ThreadPoolExecutor(lanes.lanes, "lane")
        self._running = 0
        self._woken = False
        self._stopped = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._text_s = 0.0  # mean time of one text in a lane
        self._before: tuple[float, int] | None = None  # start and texts of the last run here, if others wait since

    async def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Return the answers to some texts. Cancelled, it frees its place and is not scored.

        Raises Problem: 503 if too much waits, 500 if the model fails.
        """
        if not texts:
            return []
        if self._stopped:
            raise busy(1, "the service is shutting down")
        if (wait_s := self.too_long_s(len(texts))) is not None:
            raise busy(wait_s)
        if not (self._woken or self._running or len(self._lines)) and self._is_short(texts):
            self._wake()  # so that whoever comes in this turn of the loop too goes together, right behind
            return self._at_once(texts)
        request: Request[Answer] = Request(texts, asyncio.get_running_loop().create_future())
        self._lines.add(request)
        QUEUE.inc(len(texts))
        self._idle.clear()
        self._wake()
        try:
            return await request.done
        finally:
            QUEUE.dec(self._lines.drop(request))  # 0 unless it was cancelled or failed
            self._rest()

    async def stop(self) -> None:
        """Let nobody in any more, answer whoever was, and end the threads."""
        self._stopped = True
        await self._idle.wait()
        self._threads.shutdown(wait=False)

    def has_room(self, texts: int) -> bool:
        """Say whether a request of so many texts would be let in: there is a place for it, and it comes in time."""
        return self.too_long_s(texts) is None

    def too_long_s(self, texts: int, coming: int = 0) -> float | None:
        """Return how long a request of so many texts would wait, if that is too long for it to be let in.

        `coming` others, of a text each, were read before it and do not stand in the queue yet.
        """
        wait_s = (self._lines.ahead(texts) + coming) * self._text_s / self._lanes.lanes
        return None if wait_s <= self._most_wait_s and self._lines.has_room(texts) else wait_s

    def _is_short(self, texts: Sequence[str]) -> bool:
        return len(texts) <= self._lanes.batch and sum(map(len, texts)) <= self._lanes.inline_characters

    def _at_once(self, texts: Sequence[str]) -> list[Answer]:
        """Score a short request that nobody is before, without the two turns of the loop that the queue takes."""
        asyncio.get_running_loop().call_soon(BATCH.observe, len(texts))  # when the answer is on its way
        found, seconds = self._run(texts)
        self._note(seconds / len(texts))
        answers = []
        for answer in found:
            if isinstance(answer, Exception):
                raise _failed(answer)
            answers.append(answer)
        return answers

    def _wake(self) -> None:
        """Start lanes in the next turn of the loop, so that what arrives in this one goes together."""
        if not self._woken:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._woken = False
        while len(self._lines) and (free := self._lanes.lanes - self._running) > 0:
            taken = self._lines.take(min(self._lanes.batch, math.ceil(len(self._lines) / free)))
            QUEUE.dec(len(taken))
            BATCH.observe(len(taken))
            self._running += 1
            texts = [request.texts[number] for request, number in taken]
            if self._is_short(texts):
                self._run_here(taken, texts)
                self._wake()  # the rest waits for a turn of the loop, in which others are heard
                return
            self._before = None
            self._threads.submit(self._run_aside, asyncio.get_running_loop(), taken, texts)

    def _run_here(self, taken: list[Taken[Answer]], texts: list[str]) -> None:
        """Score on the loop's thread. While others wait, the time of a text is counted from run to run.

        To read, record and send takes the loop longer than such a model, and whoever waits, waits for all of it.
        """
        began = time.perf_counter()
        found, seconds = self._run(texts)
        if self._before is not None:
            since, count = self._before
            seconds = (began - since) * len(texts) / count
        self._finish(taken, found, seconds)
        self._before = (began, len(texts)) if len(self._lines) else None

    def _run_aside(self, loop: asyncio.AbstractEventLoop, taken: list[Taken[Answer]], texts: list[str]) -> None:
        loop.call_soon_threadsafe(self._finish, taken, *self._run(texts))

    def _run(self, texts: Sequence[str]) -> tuple[list[Answer | Exception], float]:
        """Return an answer or an error a text, and the seconds that they took."""
        started = time.perf_counter()
        found = self._answers(texts)
        return found, time.perf_counter() - started

    def _answers(self, texts: Sequence[str]) -> list[Answer | Exception]:
        try:
            return list(self._score(texts))
        except Exception as error:  # noqa: BLE001 - readers in C++ and Rust raise bare exceptions; logged by `_finish`
            if len(texts) == 1:
                return [error]
            return [self._answers([text])[0] for text in texts]  # one text must not fail those of other requests

    def _finish(self, taken: list[Taken[Answer]], found: list[Answer | Exception], seconds: float) -> None:
        self._running -= 1
        self._note(seconds / len(taken))
        for (request, number), answer in zip(taken, found, strict=True):
            if isinstance(answer, Exception):
                if not request.done.done():
                    request.fail(_failed(answer))
            else:
                request.give(number, answer)
        self._rest()
        if len(self._lines):
            self._wake()

    def _note(self, text_s: float) -> None:
        self._text_s += (text_s - self._text_s) * (NEWEST if self._text_s else 1)

    def _rest(self) -> None:
        if not self._running and not len(self._lines):
            self._idle.set()


def _failed(error: Exception) -> Problem:
    LOG.error("the model failed on a text", exc_info=error)
    return Problem(500, "the model failed on this text")


def busy(wait_s: float, why: str = "too many texts wait already") -> Problem:
    """Return the refusal that says when to come back, in whole seconds."""
    return Problem(503, f"{why}: try again later", {"Retry-After": str(max(1, math.ceil(wait_s)))})
