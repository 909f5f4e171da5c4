"""`make bench`: one benchmark after the other, how long each took, and what was measured beside its goal.

`run.py [--since SECONDS] [NAME…]`: a name is a script's, such as batch_ray; none: all, in the order below. A goal that
is missed is written down, what could not be measured is named at the end, and neither keeps the others from running.
"""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import judged
import results
from harness import ROOT, Result, versions

from textgate.errors import CannotTell, run

# The first one trains, and what it trained the others measure where there is no model yet; the last one is the longest.
ORDER = ("pull_request", "stats", "train", "latency", "batch", "batch_memory", "batch_ray", "serve_start", "serve")
WITHOUT_MODEL = frozenset({"pull_request", "stats"})
DOWNLOADS_NOTHING = frozenset({"stats"})
MOST_MINUTES = 40.0
END_SECONDS = 30.0  # for a benchmark that is interrupted to end its servers


@dataclass(frozen=True)
class Ran:
    """A benchmark that ended: 0 with every goal met, 1 with one missed, any other number without a measurement."""

    name: str
    seconds: float
    code: int

    @property
    def failed(self) -> bool:
        """Say whether there is no measurement."""
        return self.code not in (0, 1)

    def __str__(self) -> str:
        """Return such as `  1.6 min  batch_ray`."""
        return f"{self.seconds / 60:5.1f} min  {self.name}{': could not be measured' if self.failed else ''}"


def measure(script: Path) -> Ran:
    """Run a benchmark in a process group of its own.

    Interrupted, this passes on what Ctrl-C does to all that the benchmark started: that it may end its servers.
    """
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, script], cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):  # usually nobody is left
            os.killpg(process.pid, signal.SIGKILL)
    return Ran(script.stem, time.monotonic() - started, code)


def measure_all(names: Sequence[str]) -> list[Ran]:
    """Run benchmarks, one after the other, with a line before each that says how far this is."""
    started, found = time.monotonic(), list[Ran]()
    for number, name in enumerate(names, 1):
        minutes = (time.monotonic() - started) / 60
        print(f"\n{number} of {len(names)}: {name}, after {minutes:.1f} min", flush=True)
        if name not in WITHOUT_MODEL and not judged.is_there() and "pr" not in {one.name for one in found}:
            print("no model in build/model: first what `make pr` does", flush=True)
            found.append(measure(ROOT / "scripts" / "pr.py"))  # whether the gate lets the model pass is no matter
        found.append(measure(ROOT / "benchmarks" / f"{name}.py"))
    return found


def whole(ran: Sequence[Ran], seconds: float) -> Result:
    """Return how long all benchmarks took, and what came before them: environments and downloads."""
    missing = [one.name for one in ran if one.failed]
    figures: dict[str, float | str] = {"all (min)": round(seconds / 60, 1)}
    figures["environments and downloads (min)"] = round((seconds - sum(one.seconds for one in ran)) / 60, 1)
    figures |= {f"{one.name} (min)": round(one.seconds / 60, 1) for one in ran}
    return Result(
        name="all",
        what="minutes of `make bench`, with environments, downloads and a model if they were missing",
        command="make bench",
        goal=f"≤ {MOST_MINUTES:g} min",
        met=seconds <= MOST_MINUTES * 60 and not missing,
        ratio=None,
        figures=figures,
        limits=f"not measured: {', '.join(missing)}" if missing else "",
        load=(round(os.getloadavg()[0], 2),),
        versions=versions(),
    )


def end_as_by_ctrl_c() -> None:
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt, and SIGINT too: shells ignore it for what runs behind them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def main() -> int:
    """Measure and write the page; 2 if something could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--since", type=float, default=time.time(), help="when `make bench` began, in Unix time")
    parser.add_argument("names", nargs="*", metavar="name", default=ORDER, help="what is measured (default: all)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ORDER):
        parser.error(f"there is no {', '.join(sorted(unknown))} (known: {', '.join(ORDER)})")
    end_as_by_ctrl_c()
    if set(options.names) - DOWNLOADS_NOTHING:
        judged.fetch()
    ran = measure_all(options.names)
    if options.names == ORDER:
        whole(ran, time.time() - options.since).save()
    print("\n".join(["", *map(str, ran), f"{(time.time() - options.since) / 60:5.1f} min  in all", ""]))
    missing = [one.name for one in ran if one.failed]
    if len(missing) < len(ran):
        results.main()
    if missing:
        raise CannotTell(f"not measured: {', '.join(missing)}: the lines above say why; then run again")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
