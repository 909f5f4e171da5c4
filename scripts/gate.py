"""Judge the evidence in build/ by the limits in configs/gates.yaml: build/gate.json, and exit 0, 1 or 2."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate import records
from textgate.config import CONFIGS, Gates, load
from textgate.errors import CannotTell, run
from textgate.files import sha256_file
from textgate.gate.evidence_set import collect
from textgate.gate.gate import judge, not_judged, summary
from textgate.records import BUILD, EXIT_CODES


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    path = CONFIGS / "gates.yaml"
    sha256 = sha256_file(path) if path.is_file() else "0" * 64
    try:
        gate = judge(collect(BUILD), load(path, Gates), sha256)
    except CannotTell as error:
        gate = not_judged(str(error), sha256)
    records.write(BUILD / "gate.json", gate)
    print(summary(gate))
    return EXIT_CODES[gate.outcome]


if __name__ == "__main__":
    sys.exit(run(main))
