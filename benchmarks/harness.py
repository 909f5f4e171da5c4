"""What every benchmark here shares: fair rounds, ratios with their spread, and the files that RESULTS.md is made of.

A ratio is taken within a round, where both sides had the same machine, a second apart; the median of the rounds' ratios
is what counts, and the smallest and the largest are told.
"""

# ruff: noqa: INP001, E402 - scripts, not a package: src is put on the path first

from __future__ import annotations

import hashlib
import math
import os
import platform
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from pydantic import Field, model_validator

from textgate.files import read_text, write_text
from textgate.records import Count, Record

RESULTS = ROOT / "build" / "bench"
SEED = 20
VERSIONS = ("numpy", "onnxruntime", "scikit-learn", "tokenizers", "torch", "transformers")


class Ratio(Record):
    """One side by the other: the median of the rounds, and the smallest and the largest of them."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return such as `7.42 (7.01 … 7.90)`."""
        return f"{self.median:.2f} ({self.low:.2f} … {self.high:.2f})"


class Growth(Record):
    """What happens as something gets larger: a point for each size, smallest first."""

    of: str  # what grows: "rows", "labels", "bytes"
    sizes: tuple[Count, ...]
    seconds: tuple[float, ...]
    megabytes: tuple[float, ...]  # the most that the process took


class Machine(Record):
    """Where it was measured."""

    processor: str
    cores: Count  # of the machine; what is compared runs on two of them
    memory_gb: float
    kernel: str


def machine() -> Machine:
    """Describe this machine."""
    info = read_text(Path("/proc/cpuinfo"), "this needs Linux")
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Machine(
        processor=names[0] if names else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gb=round(memory, 1),
        kernel=platform.release(),
    )


def today() -> str:
    """Return the date, UTC."""
    return datetime.now(UTC).date().isoformat()


class Result(Record):
    """One goal and what was measured for it."""

    name: str  # also of the file
    what: str  # a sentence: what is divided by what
    command: str
    goal: str
    met: bool
    ratio: Ratio | None
    figures: dict[str, float | str]
    beside: tuple[str, ...] = ()  # figures that the tables show, too: what the goal names, or explains
    limits: str  # what keeps it from more, or, if the goal is missed, what limits it; "" if nothing is worth saying
    load: tuple[float, ...]  # runnable processes of the whole machine at the start of each round
    machine: Machine = Field(default_factory=machine)
    versions: dict[str, str]
    date: str = Field(default_factory=today)
    growth: Growth | None = None
    code: str = ""  # which code was measured; told when it is saved

    @model_validator(mode="after")
    def _has_what_it_shows(self) -> Self:
        if unknown := set(self.beside) - set(self.figures):
            raise ValueError(f"beside: {', '.join(sorted(unknown))}: no such figure")
        return self

    @property
    def path(self) -> Path:
        """Return where it is kept."""
        return RESULTS / f"{self.name}.json"

    def save(self) -> None:
        """Write it, and print one line."""
        write_text(self.path, self.model_copy(update={"code": code()}).model_dump_json(indent=1) + "\n")
        print(f"{'met   ' if self.met else 'MISSED'} {self.name}: {self.ratio or ''} goal {self.goal}", flush=True)


def code() -> str:
    """Return a hash of the product's code as it is now."""
    found = hashlib.sha256()
    for path in sorted(path for folder in ("src", "scripts") for path in (ROOT / folder).rglob("*.py")):
        found.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:12]


class Rounds:
    """What the rounds gave: figures by case, one a round, and the load at the start of each."""

    def __init__(self, figures: Mapping[str, Sequence[float]], load: Sequence[float]) -> None:
        """Take figures in the order of the rounds."""
        self.figures, self.load = {name: tuple(values) for name, values in figures.items()}, tuple(load)

    def ratio(self, ours: str, peer: str) -> Ratio:
        """Return the ratio of two cases."""
        return ratio(self.figures[ours], self.figures[peer])

    def medians(self, *names: str) -> dict[str, float]:
        """Return the median of each case."""
        return {name: statistics.median(self.figures[name]) for name in names}


def interleave(cases: Mapping[str, Callable[[], float]], rounds: int) -> Rounds:
    """Run every case once a round, in an order drawn anew for each, so that no case always has the quiet moment."""
    draw = random.Random(SEED)  # noqa: S311 - an order, no secret
    figures: dict[str, list[float]] = {name: [] for name in cases}
    load = []
    for number in range(1, rounds + 1):
        load.append(round(os.getloadavg()[0], 2))
        for name in draw.sample(sorted(cases), len(cases)):
            figures[name].append(cases[name]())
        shown = ", ".join(f"{name} {values[-1]:.4g}" for name, values in figures.items())
        print(f"round {number} of {rounds}, load {load[-1]}: {shown}", flush=True)
    return Rounds(figures, load)


def ratio(ours: Sequence[float], peer: Sequence[float]) -> Ratio:
    """Return the ratio of two cases that were measured in the same rounds."""
    each = [one / other for one, other in zip(ours, peer, strict=True)]
    return Ratio(median=statistics.median(each), low=min(each), high=max(each))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the power of the size that the values (all above 0) grow with: the slope of their logarithms."""
    return statistics.linear_regression([math.log(one) for one in sizes], [math.log(one) for one in values]).slope


def versions(*more: str) -> dict[str, str]:
    """Return what was measured with, from this environment."""
    return {name: version(name) for name in (*VERSIONS, *more)} | {"python": platform.python_version()}
