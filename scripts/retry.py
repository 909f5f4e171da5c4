"""Run a command that talks to GitHub, such as cml, and run it again while that can help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.github import retry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command and what it is given")
    command = parser.parse_args().command
    if not command:
        parser.error("name a command")
    retry.run(command)


if __name__ == "__main__":
    sys.exit(run(main))
