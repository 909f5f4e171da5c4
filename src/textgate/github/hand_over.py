"""What leaves a run for the job that comments on it: evidence files alone, flat, under names fixed beforehand."""

from __future__ import annotations

import shutil
from pathlib import Path

from textgate.pipeline import STAGES

# name in the artifact -> place under build/. champion.json stays behind: it holds a path of the machine.
FILES = {
    "data.json": "data/data.json",
    **{
        name: name
        for name in (
            "train.json",
            "metrics.json",
            "comparison.json",
            "model-tests.json",
            "scan.json",
            "gate.json",
            "plan.json",
        )
    },
    **{f"stages-{stage.name}.json": f"stages/{stage.name}.json" for stage in STAGES},
}


def hand_over(build: Path, to: Path) -> tuple[str, ...]:
    """Copy the evidence that there is into the folder `to`, made anew, and return its names."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    there = tuple(
        name for name, place in FILES.items() if (build / place).is_file() and not (build / place).is_symlink()
    )
    for name in there:
        shutil.copyfile(build / FILES[name], to / name)
    return there
