"""The workers of a run on Ray: who is there, who is free, and who replaces the dead.

Each seat, a share of a machine's processors, has a thread here that hires a worker, waits until it is dead, and hires
the next. A window that was with a dead worker is scored again by another: answering changes nothing, so it may.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from textgate.batch.answer import Answer
from textgate.batch.rows import Window
from textgate.batch.settings import RayLimits
from textgate.errors import CannotTell, TextgateError

AT_ONCE = 2  # windows a worker: one that it scores, and one that is there already when it has


@dataclass(frozen=True)
class Seat:
    """A share of a machine: the id of a Ray node, and how many of its processors one worker gets."""

    node: str
    cpus: int


def seats(machines: Sequence[tuple[str, int]], processes: int) -> list[Seat]:
    """Return where workers go on machines with so many processors, `processes` on each (0: one for each processor).

    A machine with several keeps one free, for Ray and for what else must answer there.
    """
    found = []
    for node, cpus in machines:
        usable = max(1, cpus - 1)
        count = min(processes or usable, usable, cpus)
        found += [Seat(node, usable // max(1, count))] * count
    return found


class Crew:
    """Hands windows to workers. `hire` begins one: it returns a Ray actor and the reference of its opening."""

    def __init__(self, places: Sequence[Seat], hire: Callable[[Seat], tuple[Any, Any]], limits: RayLimits) -> None:
        """Begin to hire for all seats, and do not wait."""
        self._hire, self._limits = hire, limits
        self._change = threading.Condition()
        self._busy: dict[Any, int] = {}  # windows of each actor that is there
        self._seats = len(places)  # that were not given up
        self._problem: TextgateError | None = None
        self._death = ""
        for seat in places:
            threading.Thread(target=self._tend, args=(seat,), daemon=True).start()

    def ask(self, window: Window) -> Answer:
        """Have a window scored. Raises what scoring it raised, and CannotTell if too many died or nobody comes."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError

        for _ in range(self._limits.deaths):
            actor = self._take()
            try:
                found: Answer | TextgateError = ray.get(
                    actor.answer.remote(window), timeout=self._limits.answer_seconds
                )
            except GetTimeoutError as error:
                seconds = f"{self._limits.answer_seconds:g} s"
                raise CannotTell(f"a Ray worker gave no answer within {seconds}: {self._cure()}") from error
            except RayTaskError as error:
                raise CannotTell(f"a Ray worker failed: {_last_line(error)}") from error
            except RayError as error:  # it died, or its machine, or the machine that held its answer
                self._bury(actor, error)
            else:
                self._give_back(actor)
                if isinstance(found, TextgateError):
                    raise found
                return found
        rows = f"{window.place.rows - len(window.rows) - len(window.rejects) + 1} to {window.place.rows}"
        raise CannotTell(f"{self._limits.deaths} Ray workers died that had rows {rows}: {self._cure()}")

    def _tend(self, seat: Seat) -> None:
        """Hire for a seat until too many died on it."""
        import ray

        for _ in range(self._limits.deaths):
            try:
                actor, opening = self._hire(seat)
                problem = ray.get(opening)
            except Exception as error:  # noqa: BLE001 - it is told if nobody else comes
                with self._change:
                    self._death = _last_line(error)
                continue
            with self._change:
                self._problem = self._problem or problem
                self._busy[actor] = 0
                self._change.notify_all()
                while actor in self._busy:
                    self._change.wait()
        with self._change:
            self._seats -= 1
            self._change.notify_all()

    def _take(self) -> Any:
        with self._change:
            while not self._change.wait_for(self._settled, self._limits.start_seconds):
                if not self._busy:
                    seconds = f"{self._limits.start_seconds:g} s"
                    raise CannotTell(
                        f"no Ray worker came up within {seconds}: are processors free there? {self._cure()}"
                    )
            if self._problem:
                raise self._problem
            if (actor := self._free()) is None:
                raise CannotTell(f"no Ray worker is left ({self._death}): {self._cure()}")
            self._busy[actor] += 1
            return actor

    def _settled(self) -> bool:
        return bool(self._problem or not self._seats or self._free())

    def _free(self) -> Any | None:
        """Return who has the least to do, if anyone can take more."""
        actor = min(self._busy, key=self._busy.__getitem__, default=None)
        return actor if actor is not None and self._busy[actor] < AT_ONCE else None

    def _give_back(self, actor: Any) -> None:
        with self._change:
            if actor in self._busy:
                self._busy[actor] -= 1
                self._change.notify()

    def _bury(self, actor: Any, why: Exception) -> None:
        import ray

        with self._change:
            if self._busy.pop(actor, None) is None:
                return  # its other window told already
            self._death = _last_line(why)
            self._change.notify_all()
        with contextlib.suppress(Exception):
            ray.kill(actor)  # it may only have been out of reach

    @staticmethod
    def _cure() -> str:
        return "is there memory enough? run again, it goes on where it stopped"


def _last_line(error: Exception) -> str:
    """Return what Ray says last, which is what happened; before it stand ids and a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
