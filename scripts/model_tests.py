"""Run the model tests on a bundle: build/model-tests.json for the gate, build/model-tests.xml for CI."""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from textgate import model_tests, records  # noqa: E402
from textgate.errors import run  # noqa: E402
from textgate.records import BUILD, EXIT_CODES  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(os.environ.get("TEXTGATE_BUNDLE") or BUILD / "model")
    parser.add_argument("--bundle", type=Path, default=default, help="the bundle to test (default: %(default)s)")
    found = model_tests.run(ROOT / "model_tests", parser.parse_args().bundle)
    records.write(BUILD / "model-tests.json", found)
    print(model_tests.summary(found))
    return EXIT_CODES[model_tests.outcome(found)]


if __name__ == "__main__":
    sys.exit(run(main))
