"""configs/sweep.yaml into the models to train: every combination of a few settings of one experiment."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from textgate.config import CONFIGS, Ensemble, Model, Name
from textgate.config_problem import first_problem
from textgate.errors import CannotTell
from textgate.records import Record

SWEEP = CONFIGS / "sweep.yaml"
MOST = 64  # more is no small grid, and the best of many is the luckiest rather than the best
FIXED = ("kind", "base", "parts")  # what an experiment is, not how it is set


class SweepConfig(Record):
    """configs/sweep.yaml."""

    experiment: Name
    grid: dict[str, tuple[Any, ...]]  # setting -> values, each checked by the type of the experiment's model


@dataclass(frozen=True)
class Candidate:
    """One combination."""

    settings: dict[str, Any]  # what differs from the experiment
    model: Model

    def __str__(self) -> str:
        """Return the settings in words: max_n 5, c 1.0."""
        return in_words(self.settings)


def candidates(config: SweepConfig, base: Model, path: Path = SWEEP) -> tuple[Candidate, ...]:
    """Return every combination, the last setting changing fastest.

    Raises CannotTell, naming `path` and the key, for a setting that the model does not have, a value that it does not
    take, a combination that stands there twice, none at all and more than 64.
    """
    where = f"{path}: grid"
    if isinstance(base, Ensemble):
        raise CannotTell(f"{path}: experiment: {config.experiment} is an ensemble: name one of {', '.join(base.parts)}")
    known = [name for name in type(base).model_fields if name not in FIXED]
    if not config.grid:
        raise CannotTell(f"{where}: name at least one setting (known: {', '.join(known)})")
    for name, values in config.grid.items():
        if name not in known:
            raise CannotTell(f"{where}.{name}: unknown setting (known: {', '.join(known)})")
        if not values:
            raise CannotTell(f"{where}.{name}: name at least one value")
    count = math.prod(len(values) for values in config.grid.values())
    if count > MOST:
        raise CannotTell(f"{where}: {count} combinations are more than {MOST}: leave some values out")
    combined = itertools.product(*config.grid.values())
    found = tuple(_candidate(dict(zip(config.grid, values, strict=True)), base, where) for values in combined)
    for number, candidate in enumerate(found):
        if any(candidate.model == earlier.model for earlier in found[:number]):
            raise CannotTell(f"{where}: {candidate} stands there twice")
    return found


def in_words(settings: Mapping[str, Any]) -> str:
    """Return settings as: max_n 5, c 1.0."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _candidate(settings: dict[str, Any], base: Model, where: str) -> Candidate:
    try:
        return Candidate(settings, type(base).model_validate(base.model_dump() | settings))
    except ValidationError as error:
        problem = first_problem(error, type(base)).removeprefix("the file: ")
        raise CannotTell(f"{where}: {in_words(settings)}: {problem}") from error
