"""Ask the registry of releases: fetch a verified version, register a release folder, promote a version, name it."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.github.api import repository
from textgate.registry import commands
from textgate.registry.github import GitHubReleases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = parser.add_subparsers(dest="command", required=True)
    fetch = known.add_parser("fetch", help="download a version, verify it, unpack its bundle")
    fetch.add_argument("--version", default="champion", help="vX.Y.Z (default: %(default)s, the one in production)")
    fetch.add_argument("--to", type=Path, required=True, help="a folder of its own; a fetch before is replaced")
    register = known.add_parser("register", help="publish the folder that release.py built")
    register.add_argument("folder", type=Path)
    promote = known.add_parser("promote", help="make a released version the champion")
    promote.add_argument("version")
    restore = known.add_parser("restore", help="go back to the version before one that failed")
    restore.add_argument("previous", help="what promote said; empty if there was none")
    restore.add_argument("--failed", required=True, help="the version that is withdrawn")
    known.add_parser("current", help="say which version is the champion")
    options = vars(parser.parse_args())
    command = getattr(commands, options.pop("command"))
    command(GitHubReleases(repository()), **options)


if __name__ == "__main__":
    sys.exit(run(main))
