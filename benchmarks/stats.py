"""`make bench-stats`: the paired bootstrap of 10,000 resamples x 100,000 rows x 3 classes, and how a peer does.

Then growth.py measures how statistics, data stage, scan and report grow.
The peer resamples rows (numpy, one resample after the other) on a hundredth of the resamples, in the same process;
its seconds are scaled up.
"""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import resource
import sys
from time import perf_counter

import growth
import numpy as np
from harness import Result, interleave, versions
from numpy.typing import NDArray

from textgate.errors import run
from textgate.evaluate.bootstrap import RESAMPLES, SEED
from textgate.evaluate.compare import f1_deltas

ROWS, LABELS, PEER_RESAMPLES = 100_000, ("a", "b", "c"), RESAMPLES // 100
MAX_SECONDS, MAX_MEGABYTES = 5.0, 1000.0
ROUNDS = 3

Labels = NDArray[np.int64]


def ours(truth: Labels, models: list[Labels]) -> float:
    """Return the seconds of textgate's bootstrap."""
    started = perf_counter()
    f1_deltas(truth, models[0], models[1], LABELS)
    return perf_counter() - started


def peer(truth: Labels, models: list[Labels]) -> float:
    """Return the seconds of resampling rows, scaled up."""
    random = np.random.default_rng(SEED)
    started = perf_counter()
    for _ in range(PEER_RESAMPLES):
        drawn = random.integers(0, ROWS, ROWS)
        f1(truth[drawn], models[0][drawn]) - f1(truth[drawn], models[1][drawn])
    return (perf_counter() - started) * RESAMPLES / PEER_RESAMPLES


def f1(truth: Labels, predicted: Labels) -> NDArray[np.float64]:
    """Return the F1 of each label."""
    confusion = np.bincount(truth * 3 + predicted, minlength=9).reshape(3, 3)
    return np.asarray(2 * np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1)))


def main() -> int:
    """Measure; 1 if a goal is missed."""
    random = np.random.default_rng(SEED)
    truth = random.choice(3, ROWS, p=(0.1, 0.3, 0.6))
    models = [np.where(random.random(ROWS) < share, truth, random.integers(0, 3, ROWS)) for share in (0.96, 0.95)]
    ours(truth, models)  # imports at its first use
    found = interleave({"ours": lambda: ours(truth, models), "rows": lambda: peer(truth, models)}, ROUNDS)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of the whole process, libraries included
    seconds = found.medians("ours")["ours"]
    figures: dict[str, float | str] = {"ours (s)": round(seconds, 3), "peak memory (MB)": round(megabytes)}
    result = Result(
        name="stats-bootstrap",
        what="seconds of a paired bootstrap (10,000 resamples, 100,000 rows, 3 labels): resampling rows / ours",
        command="make bench-stats",
        goal=f"ours ≤ {MAX_SECONDS:g} s and {MAX_MEGABYTES:g} MB",
        met=seconds <= MAX_SECONDS and megabytes <= MAX_MEGABYTES,
        ratio=found.ratio("rows", "ours"),
        figures=figures,
        beside=tuple(figures),
        limits="",
        load=found.load,
        versions=versions(),
    )
    result.save()
    grows_well = growth.main()
    return int(not (result.met and grows_well))


if __name__ == "__main__":
    sys.exit(run(main))
