"""Ask the registry: fetch a verified version, register, promote, go back, compare, retire, see what happened."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.registry import commands
from textgate.registry.chosen import chosen_registry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = parser.add_subparsers(dest="command", required=True)
    fetch = known.add_parser("fetch", help="get a version, verify it, unpack its bundle")
    fetch.add_argument("--version", default="champion", help="vX.Y.Z, challenger, or champion (the default)")
    fetch.add_argument("--to", type=Path, required=True, help="a folder of its own; a fetch before is replaced")
    register = known.add_parser("register", help="take in the folder that release.py built")
    register.add_argument("folder", type=Path)
    for name, what in (("promote", "make a released version the champion"), ("retire", "never let it serve again")):
        known.add_parser(name, help=what).add_argument("version")
    restore = known.add_parser("restore", help="go back to the version before one that failed")
    restore.add_argument("previous", help="what promote said; empty if there was none")
    restore.add_argument("--failed", required=True, help="the version that is withdrawn")
    compare = known.add_parser("compare", help="the figures of two versions beside each other")
    compare.add_argument("one")
    compare.add_argument("other")
    known.add_parser("rollback", help="go back to the version that was the champion before")
    known.add_parser("history", help="say how the champion changed")
    known.add_parser("current", help="say which version is the champion")
    options = vars(parser.parse_args())
    getattr(commands, options.pop("command"))(chosen_registry(), **options)


if __name__ == "__main__":
    sys.exit(run(main))
