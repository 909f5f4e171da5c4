"""`make bench-batch-memory`: does memory grow with the file that is scored? Ten million: --rows 100000 10000000."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT, Ratio, Result, versions
from scored_file import remove
from serve_models import FOLDER, prepare
from serve_servers import SERVE

from textgate.errors import CannotTell, run
from textgate.wording import whole

ROWS = (100_000, 1_000_000)
SHARES = (0.1, 0.5, 1.0)  # of the time: where memory is told
GOAL = 1.1
LOOK_SECONDS = 0.5
SEED = 20
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Run:
    """One file scored: its rows, how long it took, and the resident memory of all processes together at each look."""

    rows: int
    seconds: float
    sizes: Sequence[int]
    load: float

    def at(self, share: float) -> float:
        """Return the memory after a share of the time, in MB."""
        return round(self.sizes[max(0, round(share * len(self.sizes)) - 1)] / 1e6, 1)

    @property
    def peak(self) -> float:
        """Return the most at any look, in MB."""
        return round(max(self.sizes) / 1e6, 1)


def make(path: Path, rows: int) -> None:
    """Write made-up texts of 3 to 15 made-up words; no two are likely to be equal."""
    pick = random.Random(SEED)  # noqa: S311 - texts, no secret
    words = ["".join(pick.choices("abcdefghijklmnoprstuvyæøåäö", k=pick.randint(2, 10))) for _ in range(50_000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            text = " ".join(pick.choices(words, k=3 + number % 13))
            file.write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")


def measured(rows: int, model: Path) -> Run:
    """Score a file of so many rows in processes of their own, and look at them. Raises CannotTell if it fails."""
    source, target = FOLDER / f"memory-{rows}.jsonl", FOLDER / "memory-scored.jsonl"
    load = round(os.getloadavg()[0], 2)
    try:
        remove(target)
        make(source, rows)
        started, sizes = time.perf_counter(), list[int]()
        command: list[str | Path] = [SERVE / "python", "scripts/batch.py", source, target, "--model", model]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            try:
                while process.poll() is None:
                    sizes.append(resident(process.pid))
                    time.sleep(LOOK_SECONDS)
            finally:
                with contextlib.suppress(ProcessLookupError):  # usually it has ended
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            raise CannotTell("batch scoring failed: " + " ".join(map(str, command)) + " says why")
        return Run(rows, time.perf_counter() - started, sizes, load)
    finally:
        source.unlink(missing_ok=True)
        remove(target)


def resident(session: int) -> int:
    """Return the resident bytes of all processes of a session; what they share counts for each of them."""
    pages = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pages += int(found[21]) if int(found[3]) == session else 0
    return pages * PAGE


def result(runs: Sequence[Run]) -> Result:
    """Return the goal, of runs from the smallest to the largest file."""
    small, large = runs[0], runs[-1]
    growth = large.peak / small.peak
    figures: dict[str, float | str] = {f"peak at {whole(one.rows)} rows (MB)": one.peak for one in runs}
    figures |= {f"after {share:.0%} of {whole(large.rows)} rows (MB)": large.at(share) for share in SHARES}
    figures |= {f"rows/s at {whole(one.rows)} rows": whole(round(one.rows / one.seconds)) for one in runs}
    return Result(
        name="batch-memory",
        what=f"peak memory of all processes of batch scoring (tfidf): {whole(large.rows)} / {whole(small.rows)} rows",
        command="make bench-batch-memory",
        goal=f"≤ {GOAL:g}",
        met=growth <= GOAL,
        ratio=Ratio(median=growth, low=growth, high=growth),
        figures=figures,
        limits="",
        load=tuple(one.load for one in runs),
        versions=versions(),
    )


def main() -> int:
    """Measure; 1 if memory grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="of the files (default: 100000 1000000)")
    options = parser.parse_args()
    model = prepare().tfidf
    found = result([measured(rows, model) for rows in sorted(options.rows)])
    found.save()
    return int(not found.met)


if __name__ == "__main__":
    sys.exit(run(main))
