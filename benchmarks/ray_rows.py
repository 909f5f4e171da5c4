"""Batch scoring on a Ray cluster: `python ray_rows.py ADDRESS MODEL OUT`, in .venv-ray.

Connects, has the model opened, and then scores each file that it is sent the path of, and prints the seconds: without
those that a file of one row takes, for which the model's files are checked, too.
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

from scored_file import remove

from textgate.batch.batch import batch, find_model
from textgate.batch.ray_driver import on_ray
from textgate.batch.settings import BatchConfig
from textgate.config import CONFIGS, load
from textgate.files import write_jsonl

WINDOW_ROWS = 64  # so that the last window, which one worker has alone, is a small part of so few rows


def main() -> None:
    """Score, again and again."""
    address, model, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    config = load(CONFIGS / "batch.yaml", BatchConfig).model_copy(update={"window_rows": WINDOW_ROWS})
    one = out.with_name(f"{out.stem}-one-row.jsonl")
    write_jsonl(one, [{"text": "Slå av lyset i stua"}])
    with on_ray(address)(find_model(model), "jsonl", config) as workers:
        for line in sys.stdin:
            seconds = []
            for rows in (str(one), line.strip()):
                remove(out)
                started = time.perf_counter()
                batch(rows, str(out), model, "text", None, config, lambda *_: contextlib.nullcontext(workers))
                seconds.append(time.perf_counter() - started)
            print(seconds[1] - seconds[0], flush=True)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(core) for core in os.environ["BENCH_CORES"].split(",")})
    main()
