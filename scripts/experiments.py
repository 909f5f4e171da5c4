"""Show the runs in the MLflow store side by side, newest first."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--last", type=int, default=20, metavar="N", help="how many bundles (20)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write every parameter and figure there")
    arguments = parser.parse_args()
    if arguments.last < 1:
        parser.error("--last: at least 1")
    from rich.console import Console

    from textgate import records
    from textgate.evidence import Champion
    from textgate.experiments.runs import read_runs
    from textgate.experiments.table import as_csv, table
    from textgate.files import write_text

    path = records.BUILD / "champion.json"
    champion = records.read(path, Champion, "choose").digest if path.is_file() else None
    runs = read_runs()
    shown = runs[: arguments.last]
    Console(width=None if sys.stdout.isatty() else 200).print(table(shown, champion))  # a file has no width to fold to
    if len(shown) < len(runs):
        print(f"the newest {len(shown)} of {len(runs)} bundles: --last {len(runs)} shows all")
    if arguments.csv:
        write_text(arguments.csv, as_csv(shown, champion))


if __name__ == "__main__":
    sys.exit(run(main))
