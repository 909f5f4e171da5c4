"""Train the chosen experiment and the baseline: build/model, build/baseline and build/train.json."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
# How long a waiting OpenMP thread spins before it sleeps. The usual 300,000 rounds starve whoever shares the processors
# (twice the time and more on busy ones); sleeping at once costs a fifth of the speed on quiet ones.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

from textgate import records
from textgate.choose import Choice
from textgate.errors import run
from textgate.evidence import DataReport
from textgate.rows import check_rows


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    from textgate import tracking
    from textgate.train import launch, processes, train

    choice = records.read(records.BUILD / "choice.json", Choice, "choose")
    data = records.read(records.BUILD / "data" / "data.json", DataReport, "data")
    check_rows(records.BUILD / "data", data.fingerprint)
    if (count := launch.wanted(choice)) > 1:
        return launch.start(count, Path(__file__))
    with processes.joined(choice.train.device) as together:
        report = train.train(choice, data, records.BUILD, together)
    if report is not None:  # else the first process says the rest
        records.write(records.BUILD / "train.json", report)
        tracking.log_training(choice, data, report)
        scores = ", ".join(f"{name} {score:.4f}" for name, score in report.valid_macro_f1.items())
        print(f"bundle {report.bundle_digest[:12]} in {report.seconds:.0f} s; validation macro-F1: {scores}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
