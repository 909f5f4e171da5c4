"""Batch scoring on a Ray cluster: `python ray_rows.py ADDRESS MODEL ROWS OUT`, in .venv-ray.

Connects, has the model opened, and then scores the file once for each line that it is sent, and prints the seconds.
"""

# ruff: noqa: INP001, E402 - scripts, not a package: src is put on the path first

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from textgate.batch.batch import batch, find_model
from textgate.batch.ray_driver import on_ray
from textgate.batch.settings import BatchConfig
from textgate.config import CONFIGS, load

WINDOW_ROWS = 64  # so that the last window, which one worker has alone, is a small part of so few rows


def main() -> None:
    """Score, again and again."""
    address, model, rows, out = sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    config = load(CONFIGS / "batch.yaml", BatchConfig).model_copy(update={"window_rows": WINDOW_ROWS})
    with on_ray(address)(find_model(model), "jsonl", config) as workers:
        for _ in sys.stdin:
            started = time.perf_counter()
            batch(rows, str(out), model, "text", None, config, lambda *_: contextlib.nullcontext(workers))
            print(time.perf_counter() - started, flush=True)
            out.unlink()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(core) for core in os.environ["BENCH_CORES"].split(",")})
    main()
