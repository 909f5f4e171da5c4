"""Train a released bundle again: its commit, rows and packages. Exit 0 same bytes or answers, 1 refused, 2 unknown."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True, help="the folder that a release was fetched to")
    arguments = parser.parse_args()
    from textgate.versions.reproduce import reproduce, verdict

    for line in verdict(reproduce(arguments.release)):
        print(line)


if __name__ == "__main__":
    sys.exit(run(main))
