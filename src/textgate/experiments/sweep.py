"""A grid over one experiment into points: each trained on the training rows, scored on the validation rows alone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import FiniteFloat, JsonValue

from textgate import records
from textgate.choose import Choice
from textgate.config import Model
from textgate.errors import CannotTell
from textgate.evaluate.evaluate import check_probabilities
from textgate.evaluate.metrics import Marked, Predictions, score
from textgate.evidence import DataReport, Estimate, Scores
from textgate.experiments.grid import Candidate
from textgate.files import sha256_bytes, sha256_file
from textgate.models.classifier import TextClassifier
from textgate.records import Evidence
from textgate.rows import Rows, read_split
from textgate.tracking import log
from textgate.tracking.entry import VALID, Entry, settings, with_ends
from textgate.train.train import LOCK, Training, check_labels
from textgate.wording import with_interval

PACKAGE = Path(__file__).resolve().parent.parent


class Point(Evidence):
    """build/sweep/<key>.json: one combination, finished."""

    settings: dict[str, JsonValue]
    macro_f1: Estimate  # on the validation rows, as the next one
    accuracy: Estimate
    seconds: FiniteFloat  # of training
    tracked: bool  # is it in the store?


@dataclass(frozen=True)
class Sweep:
    """What all points have in common."""

    choice: Choice  # of the experiment that the grid starts from
    data: DataReport
    train: Rows
    valid: Rows
    folder: Path

    @property
    def name(self) -> str:
        """Return the experiment's name."""
        return self.choice.train.experiment

    def training(self, model: Model) -> Training:
        """Return a training of this experiment with another model."""
        experiment = self.choice.experiments[self.name].model_copy(update={"model": model})
        choice = self.choice.model_copy(update={"experiments": {self.name: experiment}})
        return Training(choice, self.data, self.train, self.valid, self.folder / "checkpoints")

    def file(self, model: Model) -> Path:
        """Return where a point lies: named by a hash of all that it depends on, so that another one is not taken."""
        train = self.choice.train.model_dump_json(include={"seed", "device", "threads"})
        code = [LOCK, *(file for part in ("models", "train") for file in sorted((PACKAGE / part).glob("*.py")))]
        parts = [model.model_dump_json(), train, self.data.fingerprint, *map(sha256_file, code)]
        key = sha256_bytes("\n".join(parts).encode())
        return self.folder / f"{key}.json"


def sweep(choice: Choice, data: DataReport, grid: Sequence[Candidate], build: Path) -> tuple[Point, ...]:
    """Return the points of a grid (at least one) in its order; one that an earlier run finished is not trained again.

    Raises CannotTell if there is no lock file, or if a label has no training or validation row.
    """
    if not LOCK.is_file():
        raise CannotTell(f"{LOCK} is missing: run this in the repository's folder, or restore the file with git")
    train, valid = (read_split(split, build / "data") for split in ("train", "valid"))
    whole = Sweep(choice, data, train, valid, build / "sweep")
    check_labels(whole.training(grid[0].model))
    parent = _parent(whole, grid)
    points: list[Point] = []
    tracking = True
    for candidate in grid:
        file = whole.file(candidate.model)
        point, how = _finished(file), "finished before"
        if point is None:
            point, how = _train(whole, candidate), "trained"
            records.write(file, point)
        if tracking and not point.tracked:
            tracking = log(choice.train, _entry(whole, candidate, point, parent))  # a store that is away is asked once
            if tracking:
                point = point.model_copy(update={"tracked": True})
                records.write(file, point)
        points.append(point)
        print(f"{len(points)} of {len(grid)}: {candidate}: macro-F1 {with_interval(point.macro_f1)}, {how}", flush=True)
    return tuple(points)


def _finished(file: Path) -> Point | None:
    try:
        return records.read(file, Point, "sweep")
    except CannotTell:  # not there, or not what this version writes: it is trained
        return None


def _train(whole: Sweep, candidate: Candidate) -> Point:
    print(f"{candidate}: training", flush=True)
    started = time.monotonic()
    run = whole.training(candidate.model)
    run.scratch.mkdir(parents=True, exist_ok=True)
    classifier = run.fit(whole.name)
    seconds = round(time.monotonic() - started, 3)
    scores = _score(classifier, whole.valid, whole.data.labels, str(candidate))
    shutil.rmtree(run.scratch)  # a checkpoint is for a training that was killed
    return Point(
        settings=dict(candidate.settings),
        macro_f1=scores.macro_f1,
        accuracy=scores.accuracy,
        seconds=seconds,
        tracked=False,
    )


def _score(classifier: TextClassifier, valid: Rows, labels: tuple[str, ...], name: str) -> Scores:
    """Return the figures on the validation rows. Raises Refused for answers that are no probabilities."""
    given = classifier.predict_proba(valid.texts)
    check_probabilities(given, len(labels), name, [f"valid row {row}" for row in valid.ids])
    truth, best, every = valid.targets(labels), given.argmax(axis=1), np.arange(len(valid))
    said = Predictions(best, given[every, best].clip(0, 1), given[every, truth], (given**2).sum(axis=1))
    return score(Marked(valid, labels, labels, truth), said)


def _parent(whole: Sweep, grid: Sequence[Candidate]) -> Entry:
    """Return the run that the points are children of: a resumed sweep, or the same one again, has the same."""
    values = {name: sorted({str(candidate.settings[name]) for candidate in grid}) for name in grid[0].settings}
    files = "\n".join(sorted(whole.file(candidate.model).stem for candidate in grid))
    return Entry(
        about="sweep",
        key=sha256_bytes(files.encode()),
        name=f"sweep of {whole.name}",
        tags={"data_fingerprint": whole.data.fingerprint},
        params={"experiment": whole.name} | {f"grid.{name}": ", ".join(found) for name, found in values.items()},
    )


def _entry(whole: Sweep, candidate: Candidate, point: Point, parent: Entry) -> Entry:
    macro_f1, accuracy = with_ends(VALID, point.macro_f1), with_ends("valid_accuracy", point.accuracy)
    return Entry(
        about="point",
        key=whole.file(candidate.model).stem,
        name=str(candidate),
        parent=parent,
        tags=parent.tags,
        params=settings(whole.choice.train, {whole.name: candidate.model}),
        metrics=macro_f1 | accuracy | {"train_seconds": point.seconds},
    )
