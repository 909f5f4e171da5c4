"""Show what changed between the rows of two folders or git revisions: added, removed, relabelled, moved, label mix."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate import records
from textgate.errors import run
from textgate.versions.data_at import data_at
from textgate.versions.data_diff import data_diff, summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = "a folder such as build/data, or a git revision"
    parser.add_argument("a", help=what)
    parser.add_argument("b", help=what)
    parser.add_argument("--json", type=Path, help="also write what was found into this file")
    arguments = parser.parse_args()
    with data_at(arguments.a) as (a, name_a), data_at(arguments.b) as (b, name_b):
        found = data_diff(a, b, (name_a, name_b))
    print("\n".join(summary(found)))
    if arguments.json is not None:
        records.write(arguments.json, found)


if __name__ == "__main__":
    sys.exit(run(main))
