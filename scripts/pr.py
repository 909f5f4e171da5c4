"""Run every stage of a pull request in order, as CI does, and print the comment that it would get."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.run_stages import pull_request


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", help="a file name under configs/experiments")
    parser.add_argument("--champion", help="folder of the production bundle, or none (the default)")
    arguments = parser.parse_args()
    given = {"--experiment": arguments.experiment, "--champion": arguments.champion}
    return pull_request([f"{option}={value}" for option, value in given.items() if value is not None])


if __name__ == "__main__":
    sys.exit(run(main))
