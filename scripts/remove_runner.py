"""Take the runner named NAME off the repository's list; its machine, idle from then on, ends itself."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.github.api import repository
from textgate.github.event import variable


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    name, github = variable("NAME"), repository()
    found = [runner for runner in github.pages("actions/runners", "runners") if runner["name"] == name]
    for runner in found:
        github.send("DELETE", f"actions/runners/{runner['id']}")
    print(f"{name}: {'removed' if found else 'not on the list: it has ended already, or never started'}")


if __name__ == "__main__":
    sys.exit(run(main))
