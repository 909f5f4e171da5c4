"""Runs in MLflow: mlflow.db in the working folder, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from textgate.errors import CannotTell
from textgate.mlflow_database import address, database, load_mlflow, make_whole
from textgate.tracking.confusion import draw
from textgate.tracking.entry import TAGS, Entry

EXPERIMENT = "textgate"
BATCH = 100  # parameters that MLflow takes at once


class MlflowRuns:
    """A run is found by its tag; a point of a sweep is a child of the sweep's run."""

    def __init__(self) -> None:
        """Open the store. Raises CannotTell if its file is locked or broken, else what mlflow raises."""
        self._mlflow = open_store()
        self._mlflow.set_experiment(EXPERIMENT)

    def add(self, entry: Entry) -> None:
        """Find or start the run and add to it: parameters and epochs that it has stay as they are."""
        found = self._find(entry)
        if entry.parent is not None and self._find(entry.parent) is None:
            self.add(entry.parent)
        parent = self._find(entry.parent) if entry.parent is not None else None
        with self._mlflow.start_run(
            run_id=found.info.run_id if found else None,
            run_name=entry.name,
            parent_run_id=parent.info.run_id if parent and not found else None,
            tags={TAGS[entry.about]: entry.key, **entry.tags},  # at the start: a killed run is found and gone on with
        ):
            params = [
                (name, value) for name, value in entry.params.items() if not (found and name in found.data.params)
            ]
            for start in range(0, len(params), BATCH):
                self._mlflow.log_params(dict(params[start : start + BATCH]))  # it cuts long values
            self._mlflow.log_metrics(entry.metrics)
            for epoch in entry.epochs if not (found and "epoch.train_loss" in found.data.metrics) else ():
                figures = epoch.model_dump(exclude={"epoch"})
                self._mlflow.log_metrics({f"epoch.{key}": value for key, value in figures.items()}, step=epoch.epoch)
            if entry.scores is not None:
                self._mlflow.log_figure(draw(entry.scores), "confusion.png")

    def _find(self, entry: Entry) -> Any:
        found = self._mlflow.search_runs(
            experiment_names=[EXPERIMENT],
            filter_string=f"tags.{TAGS[entry.about]} = '{entry.key}'",
            output_format="list",
            max_results=1,
        )
        return found[0] if found else None


def open_store() -> Any:
    """Return the mlflow module set up for the configured store, which is made if there is none.

    Raises CannotTell for a locked or broken file.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # three tries
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    file = database(address())
    if file is not None:
        make_whole(file)
        _check(file)
    mlflow = load_mlflow()
    mlflow.set_tracking_uri(address())
    return mlflow


def _check(file: Path) -> None:
    """Ask SQLite itself, which says at once what MLflow says after minutes of tries.

    It may write: what a killed process left half-written is first taken back.
    """
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=5)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        cure = "end the program that holds it" if "locked" in str(error) else "move it away, or mend it"
        raise CannotTell(f"{file}: {error}: {cure}, then run again") from error
