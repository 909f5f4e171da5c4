"""The same work as a Ray worker's, without Ray: `python ray_limit.py MODEL CORE`, in .venv-ray.

Keeps to one core, opens the model, and then scores each file that it is sent the path of, and prints the seconds.
"""

# ruff: noqa: INP001, E402 - scripts, not a package: src is put on the path first

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from ray_rows import WINDOW_ROWS

from textgate.batch.answer import score
from textgate.files import read_jsonl
from textgate.models.classifier import open_bundle


def main() -> None:
    """Score, again and again."""
    os.sched_setaffinity(0, {int(sys.argv[2])})
    bundle = open_bundle(Path(sys.argv[1]))
    for line in sys.stdin:
        texts = [row["text"] for row in read_jsonl(Path(line.strip()), "it was written a moment ago")]
        started = time.perf_counter()
        for begin in range(0, len(texts), WINDOW_ROWS):
            score(texts[begin : begin + WINDOW_ROWS], bundle)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
