"""What a stage spends on imports, as Python itself tells it."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textgate.errors import CannotTell

LINE = re.compile(r"^import time: +(\d+) \| +\d+ \| +(\w+)", re.MULTILINE)
HEAVY = {"torch", "transformers", "sklearn", "scipy", "pandas", "mlflow", "great_expectations", "matplotlib"}
SHOWN = 4
# A training takes minutes, and what it imports does not depend on the rows.
TRAINING = "import sys; sys.path.insert(0, 'src'); import textgate.tracking, textgate.train.train, mlflow, "
TRAINING += "textgate.train.finetune, textgate.train.export, sklearn.svm, sklearn.feature_extraction.text"
INSTEAD = {  # of the script
    "train": ["-c", TRAINING],
    "model_tests": ["-m", "pytest", "model_tests", "-s", "-q", "-p", "pytest_benchmark.plugin"],  # what it starts
}


@dataclass(frozen=True)
class ImportTimes:
    """Seconds, and seconds by package."""

    seconds: float
    packages: Mapping[str, float]

    def __str__(self) -> str:
        """Return such as `1.20 s (numpy 0.20, pydantic 0.12, …)`."""
        most = sorted(self.packages.items(), key=lambda item: -item[1])[:SHOWN]
        return f"{self.seconds:.2f} s ({', '.join(f'{name} {seconds:.2f}' for name, seconds in most)})"


def import_times(project: Path, stage: str, environment: Mapping[str, str]) -> ImportTimes:
    """Run a stage in a project where it has run before, and return what Python said about its imports.

    Raises CannotTell, with the stage's last words, if it fails.
    """
    settings = {"PYTHONPROFILEIMPORTTIME": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": "src"}
    done = subprocess.run(
        [project / ".venv/bin/python", *INSTEAD.get(stage, [f"scripts/{stage}.py"])],
        cwd=project,
        env={**environment, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotTell(f"{stage} ended with {done.returncode}: {(done.stdout + said_besides(done.stderr))[-2000:]}")
    return read_times(done.stderr)


def said_besides(said: str) -> str:
    """Return what a stage printed beside the times of its imports."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith("import time:"))


def read_times(said: str) -> ImportTimes:
    """Return the sums of what Python printed; modules count for their package, each with its own time alone."""
    packages: Counter[str] = Counter()
    for microseconds, package in LINE.findall(said):
        packages[package] += int(microseconds)
    seconds = {package: microseconds / 1e6 for package, microseconds in packages.items()}
    return ImportTimes(sum(seconds.values()), seconds)
