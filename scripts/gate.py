"""Judge the evidence in build/ by the limits in configs/gates.yaml: build/gate.json, and exit 0, 1 or 2."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate import records
from textgate.commit import commit
from textgate.config import CONFIGS, Gates, load
from textgate.errors import CannotTell, run
from textgate.gate.evidence_set import collect, hash_limits
from textgate.gate.gate import judge, not_judged, summary
from textgate.records import BUILD, EXIT_CODES

MODEL_TESTS = Path(__file__).resolve().parent.parent / "model_tests"


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    out, path = BUILD / "gate.json", CONFIGS / "gates.yaml"
    out.unlink(missing_ok=True)  # no verdict of an earlier run survives one that fails
    sha256 = hash_limits(path)
    try:
        gate = judge(collect(BUILD, MODEL_TESTS), load(path, Gates), sha256)
    except CannotTell as error:
        gate = not_judged(str(error), sha256)
    gate = gate.model_copy(update={"judged_commit": commit()})
    records.write(out, gate)
    print(summary(gate))
    return EXIT_CODES[gate.outcome]


if __name__ == "__main__":
    sys.exit(run(main))
