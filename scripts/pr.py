"""Run every stage of a pull request in order, and print the comment that it would get; or one stage, as CI does."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from textgate.errors import run
from textgate.run_stages import one_stage, pull_request


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", help="run this one alone")
    parser.add_argument("--experiment", help="a file name under configs/experiments")
    parser.add_argument("--champion", help="folder of the production bundle, or none (default: ask the registry)")
    arguments = parser.parse_args()
    given = {"--experiment": arguments.experiment, "--champion": arguments.champion}
    choice = [f"{option}={value}" for option, value in given.items() if value is not None]
    return pull_request(choice) if arguments.stage is None else one_stage(arguments.stage, choice)


if __name__ == "__main__":
    sys.exit(run(main))
