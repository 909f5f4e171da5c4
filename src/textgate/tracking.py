"""Runs into MLflow: parameters, metrics, a picture, the digest. A record and not a check: it never stops a run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from textgate.choose import Choice
from textgate.config import TrainConfig
from textgate.evidence import DataReport, Metrics, Scores, TrainReport

EMBEDDED = "sqlite:///mlflow.db"
EXPERIMENT = "textgate"


def log_training(choice: Choice, data: DataReport, report: TrainReport) -> None:
    """Start a run that holds what was trained and how; its tag `bundle_digest` finds it again."""
    with _never_stopping():
        mlflow = _store(choice.train)
        if mlflow is None:
            return
        with mlflow.start_run(run_name=report.experiment):
            mlflow.set_tags({"bundle_digest": report.bundle_digest, "data_fingerprint": data.fingerprint})
            models = {name: experiment.model.model_dump() for name, experiment in choice.experiments.items()}
            mlflow.log_params(_flat({"train": choice.train.model_dump(), "experiments": models}))  # it cuts long values
            for name, score in report.valid_macro_f1.items():
                mlflow.log_metric(f"valid_macro_f1.{name}", score)
            mlflow.log_metrics({"train_seconds": report.seconds, "peak_memory_mb": report.peak_memory_mb})
            for epoch in report.epochs:
                figures = epoch.model_dump(exclude={"epoch"})
                mlflow.log_metrics({f"epoch.{key}": value for key, value in figures.items()}, step=epoch.epoch)


def log_evaluation(train: TrainConfig, metrics: Metrics) -> None:
    """Add the test figures and the confusion matrix to the run of this bundle."""
    candidate = metrics.of("candidate")
    with _never_stopping():
        mlflow = _store(train)
        if mlflow is None or candidate is None:
            return
        found = mlflow.search_runs(
            experiment_names=[EXPERIMENT],
            filter_string=f"tags.bundle_digest = '{metrics.bundle_digest}'",
            output_format="list",
            max_results=1,
        )
        with mlflow.start_run(run_id=found[0].info.run_id if found else None, run_name=candidate.name):
            mlflow.set_tag("bundle_digest", metrics.bundle_digest)
            mlflow.log_metrics(_figures("test", candidate.test))
            if candidate.external is not None:
                mlflow.log_metrics(_figures("external", candidate.external))
            mlflow.log_metric("latency_p95_ms", candidate.latency.p95_ms)
            mlflow.log_figure(_confusion(candidate.test), "confusion.png")


@contextmanager
def _never_stopping() -> Iterator[None]:
    """Say in one line why a run was not recorded, whatever a store, a driver or a network raises."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above
        reason = re.sub(r"//[^\s/@]*@", "//", " ".join(str(error).split()))  # an address may hold a password
        print(f"not tracked: {reason[:200] or type(error).__name__} (the run goes on)", file=sys.stderr)


def _store(train: TrainConfig) -> Any:
    """Return the mlflow module set up for the configured store, or None if nothing is recorded."""
    if train.tracking == "none":
        return None
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import logging

    import mlflow

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", EMBEDDED))
    mlflow.set_experiment(EXPERIMENT)
    return mlflow


def _figures(rows: str, scores: Scores) -> dict[str, float]:
    figures = {"accuracy": scores.accuracy.value, "macro_f1": scores.macro_f1.value, "ece": scores.ece}
    figures |= {f"f1.{number}": label.f1.value for number, label in enumerate(scores.labels)}
    return {f"{rows}_{name}": value for name, value in figures.items()}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _confusion(scores: Scores) -> Any:
    """Draw rows of true labels against columns of predicted ones."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(scores.confusion, cmap="Blues")
    axes.set_xticks(range(len(scores.columns)), scores.columns)
    axes.set_yticks(range(len(scores.labels)), [label.label for label in scores.labels])
    axes.set(xlabel="predicted", ylabel="true")
    for row, counts in enumerate(scores.confusion):
        for column, count in enumerate(counts):
            axes.annotate(str(count), (column, row), ha="center", va="center")
    return figure
