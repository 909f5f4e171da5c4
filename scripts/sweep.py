"""Train every combination of configs/sweep.yaml, score each on validation rows, and show the best as an experiment."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # scripts/train.py says why

from textgate import records
from textgate.choose import choose
from textgate.config import load
from textgate.errors import run
from textgate.evidence import DataReport
from textgate.experiments.grid import SWEEP, SweepConfig, candidates
from textgate.rows import check_rows


def main() -> None:
    argparse.ArgumentParser(description=__doc__, epilog="Killed, it goes on when started again.").parse_args()
    config = load(SWEEP, SweepConfig)
    choice = choose(config.experiment)
    experiment = choice.experiments[config.experiment]
    grid = candidates(config, experiment.model)
    data = records.read(records.BUILD / "data" / "data.json", DataReport, "data")
    check_rows(records.BUILD / "data", data.fingerprint)
    from rich.console import Console

    from textgate.experiments.outcome import as_experiment, best, doubt, table
    from textgate.experiments.sweep import sweep

    points = sweep(choice, data, grid, records.BUILD)
    Console().print(table(points))
    print(f"{doubt(points)}\nto try the best as an experiment, save this as configs/experiments/NAME.yaml:\n")
    print(as_experiment(experiment, grid[best(points)]))


if __name__ == "__main__":
    sys.exit(run(main))
