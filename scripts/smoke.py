"""Open a release, a fetched version or a bundle, ask it, and say what it answers."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what release.py built, what registry.py fetched, or a bundle")
    folder = parser.parse_args().folder
    from textgate.smoke import smoke

    print(smoke(folder))


if __name__ == "__main__":
    sys.exit(run(main))
