"""Bring the registry's champion and challenger to where they are served."""

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.registry.chosen import chosen_registry
from textgate.registry.roll_out import roll_out, watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("serving"), help="a folder that is theirs (default: serving)")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="go on, and look again so often")
    options = parser.parse_args()
    look = partial(roll_out, chosen_registry(), options.to)
    if options.watch is not None:
        watch(look, options.watch)
    for change in look():
        print(change)


if __name__ == "__main__":
    sys.exit(run(main))
