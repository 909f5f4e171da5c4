"""Bring back the rows that DVC keeps outside git, of this folder or of a branch: from its cache, else the remote."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.versions.tracked_rows import bring_back_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--branch", help="on GitHub; its .dvc files take the place of those in this folder")
    files = bring_back_rows(parser.parse_args().branch)
    print(f"rows are here: {', '.join(files)}" if files else "no rows are kept outside git")


if __name__ == "__main__":
    sys.exit(run(main))
