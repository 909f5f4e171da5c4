"""Open a release, a fetched version or a bundle, ask it, and say what it answers."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what release.py built, what registry.py fetched, or a bundle")
    parser.add_argument("--version", help="what it has to be, vX.Y.Z (default: whatever is there)")
    options = parser.parse_args()
    from textgate.smoke import smoke

    print(smoke(options.folder, version=options.version))


if __name__ == "__main__":
    sys.exit(run(main))
