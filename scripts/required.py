"""End as the one required check: 0 if every job that this run needed came through, else 1 or 2 with the reason."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.github.event import variable
from textgate.github.required import read_needs, required


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(required(read_needs(variable("NEEDS")), variable("GATE")))


if __name__ == "__main__":
    sys.exit(run(main))
