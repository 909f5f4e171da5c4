"""What a sweep found, for the person who has to choose."""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from rich.table import Table

from textgate.config import Experiment
from textgate.experiments.grid import Candidate
from textgate.experiments.sweep import Point
from textgate.wording import duration, with_interval


def best(points: Sequence[Point]) -> int:
    """Return the place of the point with the highest macro-F1; of equals, the first."""
    return max(range(len(points)), key=lambda number: points[number].macro_f1.value)


def table(points: Sequence[Point]) -> Table:
    """Return the points as a table, the best first."""
    shown = Table(*points[0].settings, "macro-F1 (95 %)", "accuracy (95 %)", "trained", title="on validation rows")
    for point in sorted(points, key=lambda point: -point.macro_f1.value):
        figures = with_interval(point.macro_f1), with_interval(point.accuracy), duration(point.seconds)
        shown.add_row(*map(str, point.settings.values()), *figures)
    return shown


def doubt(points: Sequence[Point]) -> str:
    """Say how many points these rows cannot tell from the best one."""
    top = points[best(points)].macro_f1
    near = sum(point.macro_f1.value >= top.low for point in points) - 1
    if not near:
        return "no other point lies within the interval of the best"
    return (
        f"{near} of the other {len(points) - 1} lie within the interval of the best: these rows hardly tell them apart"
    )


def as_experiment(experiment: Experiment, candidate: Candidate) -> str:
    """Return the YAML of an experiment file with these settings."""
    model = experiment.model_copy(update={"model": candidate.model}).model_dump(mode="json")["model"]
    description = f"{experiment.description.rstrip('.')}; {candidate}, from a sweep."
    return yaml.safe_dump({"description": description, "model": model}, sort_keys=False, allow_unicode=True, width=100)
