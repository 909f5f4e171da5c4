"""`make bench-serve-start`: how long a service takes from its start to its first answer, ours and the plain pattern."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import yaml
from harness import ROOT, Ratio, Result, Rounds, interleave, versions
from serve_models import FOLDER, Models, prepare
from serve_servers import SERVE, Server, running, servers

from textgate.errors import run

ROUNDS = 5
MOST_SECONDS = 3.0
SHARE = 0.5
LIMITS = (
    "of the transformer's start a quarter are imports, a third the checks of its files (hashes, vouching), "
    "and the rest opens tokenizer and network"
)


def config(kind: str) -> Path:
    """Write configs/serve.yaml as it is shipped, with an audit log of its own."""
    shipped = yaml.safe_load((ROOT / "configs" / "serve.yaml").read_text(encoding="utf-8"))
    shipped["audit"]["folder"] = str(FOLDER / "audit" / f"start-{kind}")
    path = FOLDER / f"start-{kind}.yaml"
    path.write_text(yaml.safe_dump(shipped), encoding="utf-8")
    return path


def ours(kind: str, folder: Path) -> Server:
    """Return the service as `make serve` starts it."""
    options = ("--config", str(config(kind)), "--model", str(folder), "--port", "PORT")
    return Server((str(SERVE / "python"), "scripts/serve.py", *options))


def seconds(name: str, server: Server) -> Callable[[], float]:
    """Return what starts a server and measures until it has answered a text."""

    def measure() -> float:
        started = perf_counter()
        with running(f"start {name}", server):
            return perf_counter() - started

    return measure


def measure(models: Models) -> Rounds:
    """Start each service once a round."""
    cases = {kind: ours(kind, getattr(models, kind)) for kind in ("transformer", "tfidf")}
    cases["pipeline"] = servers(models)["pipeline"]
    return interleave({name: seconds(name, server) for name, server in cases.items()}, ROUNDS)


def results(measured: Rounds) -> list[Result]:
    """Return both goals."""
    medians, plain = measured.medians(*measured.figures), measured.ratio("transformer", "pipeline")
    slowest = max(medians["transformer"], medians["tfidf"])

    def made(name: str, what: str, goal: str, met: bool, found: Ratio | None, limits: str) -> Result:
        return Result(
            name=name,
            what=what,
            command="make bench-serve-start",
            goal=goal,
            met=met,
            ratio=found,
            figures={f"{case} (s)": round(value, 2) for case, value in medians.items()},
            limits=limits,
            load=measured.load,
            versions=versions(),
        )

    what = "service started to first answer"
    return [
        made("serve-start", what, f"≤ {MOST_SECONDS:g} s", slowest <= MOST_SECONDS, None, LIMITS),
        made(
            "serve-start-pipeline", f"{what}: transformer / pipeline", f"≤ {SHARE:g}", plain.median <= SHARE, plain, ""
        ),
    ]


def main() -> int:
    """Measure; 1 if a goal is missed."""
    found = results(measure(prepare()))
    for result in found:
        result.save()
    return int(not all(result.met for result in found))


if __name__ == "__main__":
    sys.exit(run(main))
