"""`make bench-batch-ray`: the same rows, scored on Ray by one machine of one core, and by two.

What limits it is measured too: a process without Ray on one of the two cores, and one on each of them at once.
"""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import ROOT, Ratio, Result, Rounds, interleave, versions
from serve_models import FOLDER, TEST, TRAIN, prepare

from textgate.errors import CannotTell, run
from textgate.files import read_jsonl, write_jsonl

ROUNDS = 2
GOAL = 1.8
ROWS = 4000
PIECE = 4  # the work without Ray is the file's first quarter
Ask = Callable[[str], str]
PYTHON = ROOT / ".venv-ray" / "bin" / "python"
BENCHMARKS = ROOT / "benchmarks"


@contextlib.contextmanager
def asking(script: str, *arguments: str, environment: Mapping[str, str] = os.environ) -> Iterator[Ask]:
    """Start a script in .venv-ray; yield what sends it a line and reads one. It ends when its standard input does."""
    command = [PYTHON, BENCHMARKS / script, *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both are pipes")
    reading, writing = process.stdout, process.stdin

    def ask(line: str = "") -> str:
        with contextlib.suppress(BrokenPipeError):
            writing.write(f"{line}\n")
            writing.flush()
        if not (line := reading.readline()):
            raise CannotTell(f"{script} ended: what it wrote above says why")
        return line.strip()

    try:
        yield ask
    finally:
        process.communicate()


@contextlib.contextmanager
def cluster(cores: Sequence[int], ours: Sequence[int], model: Path) -> Iterator[Ask]:
    """Start a cluster of a machine for each core; yield what scores a file on it and returns the seconds."""
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # it listens on 127.0.0.1 alone, and is looked for there
        "BENCH_CORES": ",".join(map(str, ours)),
    }
    out = str(FOLDER / f"ray-{len(cores)}.jsonl")
    with asking("ray_machines.py", *map(str, cores), environment=environment) as machines:
        address = machines("").split()[0]
        for _ in cores:
            machines("")
        with asking("ray_rows.py", address, str(model), out, environment=environment) as score:
            yield score


def at_once(asked: Sequence[Ask], path: Path) -> Callable[[], float]:
    """Return what has each score the same file at the same time, and returns the seconds of the slowest."""

    def measure() -> float:
        with ThreadPoolExecutor(len(asked)) as pool:
            return max(float(seconds) for seconds in pool.map(lambda ask: ask(str(path)), asked))

    return measure


def result(measured: Rounds, rows: int) -> Result:
    """Return the goal."""
    found, bare = measured.ratio("one machine", "two machines"), measured.ratio("one process", "two processes")
    seconds = measured.medians(*measured.figures)
    done = dict(zip(seconds, (rows, rows, rows // PIECE, 2 * (rows // PIECE)), strict=True))
    figures: dict[str, float | str] = {
        f"{name} (texts/s)": round(done[name] / value, 1) for name, value in seconds.items()
    }
    limit = Ratio(median=2 * bare.median, low=2 * bare.low, high=2 * bare.high)
    return Result(
        name="batch-ray",
        what="seconds on Ray: one machine of one core / two (transformer, connected before, window_rows 64)",
        command="make bench-batch-ray",
        goal=f"≥ {GOAL:g}",
        met=found.median >= GOAL,
        ratio=found,
        figures=figures | {"two processes / one, without Ray (texts/s)": str(limit), "rows": rows},
        limits=f"without Ray, a process on each of the two cores does {limit.median:.2f} times what one does; a worker "
        "shares its core with the Ray processes of its machine",
        load=measured.load,
        versions=versions(),
    )


def main() -> int:
    """Measure; 1 if the goal is missed."""
    if len(cores := sorted(os.sched_getaffinity(0))) < 2:
        raise CannotTell("this needs two cores that score, and a third one that reads and writes, or it shares theirs")
    ours, (first, second) = cores[:-2] or cores, cores[-2:]
    model, source, piece = prepare().transformer, FOLDER / "rows.jsonl", FOLDER / "piece.jsonl"
    texts = [row["text"] for path in (TEST, TRAIN) for row in read_jsonl(path, 'run "make data"')][:ROWS]
    for path, some in ((source, texts), (piece, texts[: len(texts) // PIECE])):
        write_jsonl(path, ({"text": text} for text in some))
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(cluster([first], ours, model))
        two = stack.enter_context(cluster([first, second], ours, model))
        bare = [stack.enter_context(asking("ray_limit.py", str(model), str(core))) for core in (first, second)]
        cases = {
            "one machine": at_once([one], source),
            "two machines": at_once([two], source),
            "one process": at_once(bare[:1], piece),
            "two processes": at_once(bare, piece),
        }
        for warm in (one, two, *bare, two):  # until the last worker has the model too
            warm(str(piece))
        found = result(interleave(cases, ROUNDS), len(texts))
    found.save()
    return int(not found.met)


if __name__ == "__main__":
    sys.exit(run(main))
