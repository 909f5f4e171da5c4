"""What a run's record is made of, whoever keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from textgate.choose import Choice
from textgate.config import Model, TrainConfig
from textgate.evidence import DataReport, Epoch, Estimate, Metrics, ModelScores, Scores, TrainReport

# The tag that finds a run again, by what the run is about.
TAGS = {"bundle": "bundle_digest", "sweep": "sweep_key", "point": "point_key"}
VALID = "valid_macro_f1.candidate"


@dataclass(frozen=True)
class Entry:
    """What one stage adds to one run. `key` names the run: the same key is the same run, in any process."""

    about: Literal["bundle", "sweep", "point"]
    key: str  # of a bundle its digest, else a hash of all that the result depends on
    name: str
    parent: Entry | None = None  # the sweep that a point belongs to
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    epochs: tuple[Epoch, ...] = ()
    scores: Scores | None = None  # drawn as a confusion matrix


class Store(Protocol):
    """Where runs are kept."""

    def add(self, entry: Entry) -> None:
        """Find the run of the entry's key or start it, and add to it. Raises whatever its library raises."""


def of_training(choice: Choice, data: DataReport, report: TrainReport, commit: str) -> Entry:
    """Return what was trained and how."""
    scores = {f"valid_macro_f1.{name}": score for name, score in report.valid_macro_f1.items()}
    models = {name: experiment.model for name, experiment in choice.experiments.items()}
    return Entry(
        about="bundle",
        key=report.bundle_digest,
        name=report.experiment,
        tags={"data_fingerprint": data.fingerprint, "commit": commit},
        params=settings(choice.train, models),
        metrics=scores | {"train_seconds": report.seconds, "peak_memory_mb": report.peak_memory_mb},
        epochs=report.epochs,
    )


def of_evaluation(metrics: Metrics, candidate: ModelScores) -> Entry:
    """Return the candidate's test figures."""
    figures = _figures("test", candidate.test) | {"latency_p95_ms": candidate.latency.p95_ms}
    if candidate.external is not None:
        figures |= _figures("external", candidate.external)
    return Entry(
        about="bundle",
        key=metrics.bundle_digest,
        name=candidate.name,
        tags={"data_fingerprint": metrics.data_fingerprint},
        metrics=figures,
        scores=candidate.test,
    )


def settings(train: TrainConfig, models: dict[str, Model]) -> dict[str, Any]:
    """Return every setting under one flat name: train.seed, experiments.001_baseline.c."""
    return _flat({"train": train.model_dump(), "experiments": {name: m.model_dump() for name, m in models.items()}})


def with_ends(name: str, estimate: Estimate) -> dict[str, float]:
    """Return a figure and the ends of its 95 % interval as three metrics."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _figures(rows: str, scores: Scores) -> dict[str, float]:
    figures = with_ends(f"{rows}_accuracy", scores.accuracy) | with_ends(f"{rows}_macro_f1", scores.macro_f1)
    for number, label in enumerate(scores.labels):  # by number: stores do not take every label as a name
        figures |= with_ends(f"{rows}_f1.{number}", label.f1)
    return figures | {f"{rows}_ece": scores.ece}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
