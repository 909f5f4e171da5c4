"""Score candidate, champion and baseline on the same test and external rows, and compare them."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate import records
from textgate.choose import Choice
from textgate.errors import run
from textgate.files import write_jsonl


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Reads build/; writes metrics, comparison, predictions."
    )
    parser.parse_args()
    from textgate import tracking
    from textgate.evaluate.evaluate import evaluate, table

    choice = records.read(records.BUILD / "choice.json", Choice, "choose")
    found = evaluate(records.BUILD)
    write_jsonl(records.BUILD / "predictions.jsonl", found.predictions)
    records.write(records.BUILD / "comparison.json", found.comparisons)
    records.write(records.BUILD / "metrics.json", found.metrics)
    tracking.log_evaluation(choice.train, found.metrics)
    print("\n".join(table(found.metrics)))


if __name__ == "__main__":
    sys.exit(run(main))
