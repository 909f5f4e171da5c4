"""Copy the evidence of this run into build/evidence, for the workflow that comments on it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.github.hand_over import hand_over
from textgate.records import BUILD


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("evidence:", ", ".join(hand_over(BUILD, BUILD / "evidence")) or "none")


if __name__ == "__main__":
    sys.exit(run(main))
