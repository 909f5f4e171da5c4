"""A peer that stays in a process of its own and measures itself, once for each line that it is sent."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator

from harness import ROOT
from serve_models import Models
from serve_servers import BENCH, PEERS, SERVER_CORES

from textgate.errors import CannotTell


def environment(models: Models) -> dict[str, str]:
    """Return what the peers' scripts need to know."""
    return {**os.environ, "BENCH_TORCH": str(models.torch), "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}


def on_server_cores() -> None:
    """Keep this process, or the child that runs it before it starts, on the cores that are compared."""
    os.sched_setaffinity(0, SERVER_CORES)


@contextlib.contextmanager
def measuring(models: Models, script: str, *arguments: str) -> Iterator[Callable[[], float]]:
    """Start a peer's script; yield what makes it measure once more and returns its seconds."""
    process = subprocess.Popen(
        [BENCH / "python", PEERS / script, *arguments],
        cwd=ROOT,
        env=environment(models),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=on_server_cores,  # noqa: PLW1509 - no thread of ours runs yet
    )

    def measure() -> float:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        try:
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())
        except (OSError, ValueError) as error:
            raise CannotTell(f"{script} ended: run it by hand in .venv-bench to see why") from error

    try:
        yield measure
    finally:
        process.kill()
        process.communicate()
