"""`make bench-batch-ray`: the same rows, scored on Ray by one machine of one core, and by two."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness import ROOT, Result, Rounds, interleave, versions
from serve_models import FOLDER, TEST, VALID, prepare

from textgate.errors import CannotTell, run
from textgate.files import read_jsonl, write_jsonl

ROUNDS = 4
GOAL = 1.8
PYTHON = ROOT / ".venv-ray" / "bin" / "python"
BENCHMARKS = ROOT / "benchmarks"


@contextlib.contextmanager
def asking(script: str, *arguments: str, environment: Mapping[str, str]) -> Iterator[Callable[[], str]]:
    """Start a script in .venv-ray; yield what reads its next line. It ends when its standard input does."""
    command = [PYTHON, BENCHMARKS / script, *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both are pipes")
    reading, writing = process.stdout, process.stdin

    def ask() -> str:
        with contextlib.suppress(BrokenPipeError):
            writing.write("\n")
            writing.flush()
        if not (line := reading.readline()):
            raise CannotTell(f"{script} ended: what it wrote above says why")
        return line.strip()

    try:
        yield ask
    finally:
        process.communicate()


@contextlib.contextmanager
def cluster(cores: Sequence[int], ours: Sequence[int], model: Path, rows: Path) -> Iterator[Callable[[], float]]:
    """Start a cluster of a machine for each core; yield what scores the rows on it and returns the seconds."""
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # it listens on 127.0.0.1 alone, and is looked for there
        "BENCH_CORES": ",".join(map(str, ours)),
    }
    out = str(FOLDER / f"ray-{len(cores)}.jsonl")
    with asking("ray_machines.py", *map(str, cores), environment=environment) as machines:
        address = machines().split()[0]
        for _ in cores:
            machines()
        with asking("ray_rows.py", address, str(model), str(rows), out, environment=environment) as score:
            yield lambda: float(score())


def result(measured: Rounds, rows: int) -> Result:
    """Return the goal."""
    found = measured.ratio("one machine", "two machines")
    seconds = measured.medians(*measured.figures)
    return Result(
        name="batch-ray",
        what="seconds on Ray: one machine of one core / two (transformer, connected before, window_rows 64)",
        command="make bench-batch-ray",
        goal=f"≥ {GOAL:g}",
        met=found.median >= GOAL,
        ratio=found,
        figures={f"{name} (texts/s)": round(rows / value, 1) for name, value in seconds.items()} | {"rows": rows},
        limits="",
        load=measured.load,
        versions=versions(),
    )


def main() -> int:
    """Measure; 1 if the goal is missed."""
    *ours, first, second = sorted(os.sched_getaffinity(0))
    if not ours:
        raise CannotTell("this needs three cores: two that score, and one that reads and writes")
    model, source = prepare().transformer, FOLDER / "rows.jsonl"
    texts = [row["text"] for path in (TEST, VALID) for row in read_jsonl(path, 'run "make data"')]
    write_jsonl(source, ({"text": text} for text in texts))
    with cluster([first], ours, model, source) as one, cluster([first, second], ours, model, source) as two:
        for warm in (one, two, two):  # until the last worker has the model too
            warm()
        found = result(interleave({"one machine": one, "two machines": two}, ROUNDS), len(texts))
    found.save()
    return int(not found.met)


if __name__ == "__main__":
    sys.exit(run(main))
