"""The MLflow store into one record a bundle, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from textgate.errors import CannotTell
from textgate.mlflow_database import address, database
from textgate.records import Record
from textgate.tracking.entry import TAGS
from textgate.tracking.log import reason, without_password
from textgate.tracking.mlflow_runs import EXPERIMENT, open_store

PAGE = 1000  # runs asked for at once
TAG = TAGS["bundle"]


class Run(Record):
    """What the store has about one bundle."""

    started: datetime
    experiment: str
    digest: str
    commit: str
    params: dict[str, str]
    metrics: dict[str, float]


def read_runs() -> tuple[Run, ...]:
    """Return what the configured store holds, newest first, one record a bundle.

    Raises CannotTell, in one line, for a store that is missing, empty, locked, broken or away.
    """
    file = database(address())
    where = without_password(address()) if file is None else str(file)
    if file is not None and not file.is_file():
        raise CannotTell(f'{file} is missing: nothing was recorded here yet: run "make pr" with tracking: mlflow first')
    try:
        runs = one_a_bundle(list(_read(open_store())))
    except CannotTell:
        raise
    except Exception as error:  # drivers of a dozen databases raise their own
        cure = "look whether it runs, and at MLFLOW_TRACKING_URI"
        raise CannotTell(f"the MLflow store {where} cannot be read: {reason(error)}: {cure}") from error
    if not runs:
        raise CannotTell(f'{where} holds no run yet: run "make pr" with tracking: mlflow first')
    return runs


def one_a_bundle(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Merge runs of the same bundle: the newest counts, an older one fills what it lacks. Newest first."""
    merged: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: run.started):
        before = merged.get(run.digest)
        if before is not None:
            both = {"params": before.params | run.params, "metrics": before.metrics | run.metrics}
            run = run.model_copy(update=both)  # noqa: PLW2901
        merged[run.digest] = run
    return tuple(sorted(merged.values(), key=lambda run: run.started, reverse=True))


def _read(mlflow: Any) -> Iterator[Run]:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    token: str | None = ""
    while experiment is not None and token is not None:
        page = client.search_runs([experiment.experiment_id], f"tags.{TAG} LIKE '%'", 1, PAGE, page_token=token or None)
        yield from map(_run, page)
        token = page.token or None


def _run(found: Any) -> Run:
    tags, params = found.data.tags, dict(found.data.params)
    return Run(
        started=datetime.fromtimestamp(found.info.start_time / 1000, UTC),
        experiment=params.get("train.experiment") or found.info.run_name,
        digest=tags[TAG],
        commit=tags.get("commit") or tags.get("mlflow.source.git.commit") or "",
        params=params,
        metrics=dict(found.data.metrics),
    )
