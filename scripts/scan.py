"""Scan a folder, a bundle or not: who vouches for each file? Exit 0 passed, 1 refused, 2 unknown."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate import records
from textgate.errors import run
from textgate.scan import scan
from textgate.scan.scanner import SCANNER

BUNDLE = records.BUILD / "model"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=BUNDLE, help="the folder (default: %(default)s)")
    parser.add_argument("--scanner", type=Path, default=SCANNER, help="modelscan's program (default: %(default)s)")
    parser.add_argument("--out", type=Path, help=f"evidence file (default: build/scan.json, only for {BUNDLE})")
    arguments = parser.parse_args()
    out = arguments.out or (records.BUILD / "scan.json" if arguments.path == BUNDLE else None)
    if out is not None:
        out.unlink(missing_ok=True)  # no verdict of an earlier scan survives one that fails
    found = scan.scan_folder(arguments.path, arguments.scanner)
    if out is not None:
        records.write(out, found)
    print(scan.table(found))
    return records.EXIT_CODES[found.outcome]


if __name__ == "__main__":
    sys.exit(run(main))
