"""`make bench-serve`: the service beside what a user would otherwise take, one at a time, on the same two cores."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

from harness import SEED, Ratio, Result, Rounds, interleave, versions
from serve_load import Seen, as_requests, closed, opened
from serve_models import TEST, prepare
from serve_servers import LOAD_CORES, SERVER_CORES, Running, Server, running, servers

from textgate.errors import run

COMMAND = "make bench-serve"
WARM_UP_SECONDS = 0.5
MANY, ONE = 64, 1
ROUNDS = {MANY: 3, ONE: 20}  # one client is near its goal: many short ones
SECONDS = {MANY: 4.0, ONE: 1.5}
OVERLOAD, OVERLOAD_SECONDS = 2.0, 6.0
KINDS = ("transformer", "tfidf")
ASKED = {MANY: f"{MANY} clients", ONE: "one client"}
UNTOLD = "503 without Retry-After, or no answer"
AUDITED = "ours also writes a hash-chained audit log and an access log, counts unknown tokens and keeps metrics"


@dataclass(frozen=True)
class Goal:
    """Requests a second of ours by those of a peer, at least."""

    kind: str
    peer: str
    clients: int
    least: float

    def result(self, measured: Rounds, limits: str) -> Result:
        """Return what was measured for it."""
        asked = ASKED[self.clients]
        names = (f"ours {self.kind}, {asked}", f"{self.peer}, {asked}")
        found = measured.ratio(*names)
        figures = {f"{name} (requests/s)": round(value, 1) for name, value in measured.medians(*names).items()}
        return made(
            f"serve-{self.kind}-{self.peer.split()[0]}-{self.clients}",
            f"requests a second, {asked}, single texts, {self.kind}: ours / {self.peer}",
            f"≥ {self.least:g}",
            met=found.median >= self.least,
            ratio=found,
            figures=figures,
            limits=limits,
            load=measured.load,
        )


GOALS = (
    Goal("transformer", "pipeline", MANY, 6),
    Goal("transformer", "litserve transformer", MANY, 1.2),
    Goal("transformer", "bentoml transformer", MANY, 1.2),
    Goal("tfidf", "litserve tfidf", MANY, 3),
    Goal("tfidf", "bentoml tfidf", MANY, 3),
    Goal("transformer", "unbatched transformer", ONE, 0.95),
    Goal("transformer", "blocking transformer", ONE, 0.95),
    Goal("tfidf", "unbatched tfidf", ONE, 0.95),
)


def made(
    name: str,
    what: str,
    goal: str,
    *,
    met: bool,
    ratio: Ratio | None,
    figures: dict[str, float | str],
    limits: str,
    load: tuple[float, ...],
    beside: tuple[str, ...] = (),
) -> Result:
    """Return a result of this script."""
    return Result(
        name=name,
        what=what,
        command=COMMAND,
        goal=goal,
        met=met,
        ratio=ratio,
        figures=figures,
        beside=beside,
        limits=limits,
        load=load,
        versions=versions("fastapi", "uvicorn"),
    )


class Bench:
    """All servers, up and warm."""

    def __init__(self, up: dict[str, Running], known: dict[str, Server]) -> None:
        """Take the servers that run."""
        texts = [json.loads(line)["text"] for line in TEST.read_text(encoding="utf-8").splitlines()]
        random.Random(SEED).shuffle(texts)  # noqa: S311 - an order, no secret
        self._up = up
        self._requests = {name: as_requests(one.port, texts, lists=known[name].lists) for name, one in up.items()}
        self.seen: dict[str, list[Seen]] = {}

    def case(self, name: str, clients: int) -> Callable[[], float]:
        """Return what measures the requests a second of one server."""

        def measure() -> float:
            with self._up[name].awake():
                closed(self._up[name].port, self._requests[name], clients, WARM_UP_SECONDS)
                seen = closed(self._up[name].port, self._requests[name], clients, SECONDS[clients])
            self.seen.setdefault(f"{name}, {ASKED[clients]}", []).append(seen)
            return seen.rate

        return measure

    def overload(self, name: str) -> Seen:
        """Ask twice as often as the server can answer, measured a moment before."""
        capacity = self.case(name, MANY)()
        with self._up[name].awake():
            return opened(self._up[name].port, self._requests[name], OVERLOAD * capacity, OVERLOAD_SECONDS)


def overloads(bench: Bench, kind: str) -> Result:
    """Overload one of our servers, three times."""
    load, seen = [], []
    for _ in range(3):
        load.append(round(os.getloadavg()[0], 2))
        seen.append(bench.overload(f"ours {kind}"))
    p99 = statistics.median(one.milliseconds(0.99) for one in seen)
    statuses = {status for one in seen for status in one.answers}
    wrong = sum(one.without_retry_after + sum(one.lost.values()) for one in seen)
    figures: dict[str, float | str] = {
        "p50 of admitted (ms)": round(statistics.median(one.milliseconds(0.5) for one in seen), 1),
        "p99 of admitted (ms)": round(p99, 1),
        "p99 of refused (ms)": round(statistics.median(one.milliseconds(0.99, 503) for one in seen), 1),
        "asked (requests/s)": round(statistics.median(_asked(one) for one in seen), 1),
        "admitted (requests/s)": round(statistics.median(one.rate for one in seen), 1),
        "statuses": " and ".join(map(str, sorted(statuses))),
        UNTOLD: wrong,
    }
    return made(
        f"serve-{kind}-overload",
        f"p99 of admitted requests at {OVERLOAD:g} times what the service can answer, {kind}; Poisson arrivals, each "
        "from the moment that it is due; refused: 503 with Retry-After",
        "< 500 ms, no 5xx but 503 with Retry-After",
        met=p99 < 500 and statuses <= {200, 503} and not wrong,
        ratio=None,
        figures=figures,
        beside=("p99 of admitted (ms)", "statuses", UNTOLD),
        limits="",
        load=tuple(load),
    )


def _asked(seen: Seen) -> float:
    return sum(map(len, seen.answers.values())) / seen.seconds


def cases(bench: Bench, clients: int) -> dict[str, Callable[[], float]]:
    """Return what measures our servers and the peers that so many clients ask."""
    names = {f"ours {kind}" for kind in KINDS} | {goal.peer for goal in GOALS if goal.clients == clients}
    return {f"{name}, {ASKED[clients]}": bench.case(name, clients) for name in names}


def main() -> int:
    """Measure; 1 if a goal is missed."""
    known = servers(prepare())
    os.sched_setaffinity(0, LOAD_CORES)
    with contextlib.ExitStack() as stack:
        up = {name: stack.enter_context(running(name, server)) for name, server in known.items()}
        for one in up.values():
            with one.awake():
                pass
        bench = Bench(up, known)
        null = bench.case("null", MANY)()
        measured = {clients: interleave(cases(bench, clients), rounds) for clients, rounds in ROUNDS.items()}
        results = [goal.result(measured[goal.clients], AUDITED if goal.clients == ONE else "") for goal in GOALS]
        results += [overloads(bench, kind) for kind in KINDS]
    fastest = max(rate for one in measured.values() for rate in one.medians(*one.figures).values())
    print(f"load generator: {null:.0f} requests/s, {null / fastest:.1f} times the fastest server")
    print(f"servers on cores {sorted(SERVER_CORES)}, load generator on {sorted(LOAD_CORES)}")
    for result in results:
        result.save()
    return int(not all(result.met for result in results))


if __name__ == "__main__":
    sys.exit(run(main))
