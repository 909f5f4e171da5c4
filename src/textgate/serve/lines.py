"""Who is next: requests of one text and requests of several stand in two lines, and the lines take turns, text by text.

So a client that sends 32 texts at a time, as often as it can, gets half of the model and never more while others wait
with one text; and the other way round. A line that is empty costs the other nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Request(Generic[Answer]):
    """The texts of one request, their answers so far, and the future that is given all of them."""

    def __init__(self, texts: Sequence[str], done: asyncio.Future[list[Answer]]) -> None:
        """Take at least one text."""
        self.texts, self.done = texts, done
        self.taken = 0
        self._answers: list[Answer | None] = [None] * len(texts)
        self._missing = len(texts)

    @property
    def waiting(self) -> int:
        """Return how many of its texts nobody has taken."""
        return len(self.texts) - self.taken

    def give(self, number: int, answer: Answer) -> None:
        """Take in the answer to one text; the last one finishes the request."""
        self._answers[number] = answer
        self._missing -= 1
        if not self._missing and not self.done.done():
            self.done.set_result(self._answers)  # type: ignore[arg-type]  # none is missing

    def fail(self, error: Exception) -> None:
        """Finish the request with an error."""
        if not self.done.done():
            self.done.set_exception(error)


Taken = tuple[Request[Answer], int]  # a request, and the number of one of its texts


class Lines(Generic[Answer]):
    """The two lines. Counts are of texts."""

    def __init__(self, places: int) -> None:
        """Take the number of texts that may wait; requests of several texts get half of the places at most."""
        self._places = places
        self._lines: tuple[deque[Request[Answer]], ...] = (deque(), deque())
        self._waiting = [0, 0]
        self._turn = 0

    def __len__(self) -> int:
        """Return how many texts wait."""
        return sum(self._waiting)

    def has_room(self, texts: int) -> bool:
        """Say whether a request of so many texts may wait. One of several always finds room in an empty line."""
        if texts == 1:
            return len(self) < self._places
        return not self._waiting[1] or self._waiting[1] + texts <= self._places // 2

    def ahead(self, texts: int) -> int:
        """Return how many texts would be scored before the first one of a new request, as the lines stand now."""
        own = self._waiting[texts > 1]
        return own + min(own, self._waiting[texts == 1])

    def add(self, request: Request[Answer]) -> None:
        """Put a request at the end of its line."""
        line = len(request.texts) > 1
        self._lines[line].append(request)
        self._waiting[line] += len(request.texts)

    def drop(self, request: Request[Answer]) -> int:
        """Free the places of a request that is over and return how many; those of its texts are never scored."""
        freed = request.waiting
        if freed:
            line = len(request.texts) > 1
            self._lines[line].remove(request)
            self._waiting[line] -= freed
            request.taken = len(request.texts)
        return freed

    def take(self, most: int) -> list[Taken[Answer]]:
        """Take up to so many texts out of the lines, in turn."""
        return [self._next() for _ in range(min(most, len(self)))]

    def _next(self) -> Taken[Answer]:
        line = self._turn if self._waiting[self._turn] else 1 - self._turn
        self._turn = 1 - line
        request = self._lines[line][0]
        number = request.taken
        request.taken += 1
        self._waiting[line] -= 1
        if not request.waiting:
            self._lines[line].popleft()
        return request, number
