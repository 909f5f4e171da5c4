"""The paired bootstrap of 10,000 resamples x 100,000 rows x 3 classes: seconds, memory, and how a peer does.

The peer resamples rows (numpy, one resample after the other) on a hundredth of the resamples, in the same process;
its seconds are scaled up. Prints one JSON object.
"""

# ruff: noqa: INP001 - a script, not a package

import json
import resource
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.evaluate.bootstrap import RESAMPLES, SEED
from textgate.evaluate.compare import f1_deltas

ROWS, LABELS, PEER_RESAMPLES = 100_000, ("a", "b", "c"), RESAMPLES // 100
MAX_SECONDS, MAX_MEGABYTES = 5.0, 1000.0


def f1(truth, predicted):  # noqa: ANN001, ANN201, D103
    confusion = np.bincount(truth * 3 + predicted, minlength=9).reshape(3, 3)
    return 2 * np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1))


def main() -> int:
    """Measure and print; 1 if the promised figures are missed."""
    random = np.random.default_rng(SEED)
    truth = random.choice(3, ROWS, p=(0.1, 0.3, 0.6))
    models = [np.where(random.random(ROWS) < share, truth, random.integers(0, 3, ROWS)) for share in (0.96, 0.95)]
    start = perf_counter()
    f1_deltas(truth, *models, LABELS)
    seconds = perf_counter() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of the whole process, libraries included
    start = perf_counter()
    for _ in range(PEER_RESAMPLES):
        drawn = random.integers(0, ROWS, ROWS)
        f1(truth[drawn], models[0][drawn]) - f1(truth[drawn], models[1][drawn])
    peer = (perf_counter() - start) * RESAMPLES / PEER_RESAMPLES
    print(
        json.dumps(
            {
                "seconds": round(seconds, 3),
                "peak_megabytes": round(megabytes),
                "row_resampling_seconds": round(peer, 1),
                "times_faster": round(peer / seconds),
            }
        )
    )
    return int(seconds > MAX_SECONDS or megabytes > MAX_MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
