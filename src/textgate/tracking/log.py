"""An entry into the store that configs/train.yaml names; a store that cannot take it is said in one line."""

from __future__ import annotations

import re
import sys

from textgate.choose import Choice
from textgate.config import TrainConfig
from textgate.errors import CannotTell
from textgate.evidence import DataReport, Metrics, TrainReport
from textgate.tracking.entry import Entry, Store, of_evaluation, of_training

# What MLflow says of a server that is away, where the cause stands last.
AWAY = re.compile(r"API request to (?P<server>\S+?)/api/\S+ failed .*Caused by (?P<why>\w+)")


def log_training(choice: Choice, data: DataReport, report: TrainReport) -> None:
    """Record what was trained and how; the run's tag `bundle_digest` finds it again."""
    from textgate.commit import commit

    log(choice.train, of_training(choice, data, report, commit()))


def log_evaluation(train: TrainConfig, metrics: Metrics) -> None:
    """Add the test figures and the confusion matrix to the run of this bundle."""
    candidate = metrics.of("candidate")
    if candidate is not None:
        log(train, of_evaluation(metrics, candidate))


def log(train: TrainConfig, entry: Entry) -> bool:
    """Add an entry to its run and return True; say in one line why not, or do nothing for `none`, and return False."""
    if train.tracking == "none":
        return False
    try:
        _store(train.tracking).add(entry)
    except Exception as error:  # noqa: BLE001 - whatever a store, a driver or a network raises
        print(f"not tracked: {reason(error)} (the run goes on)", file=sys.stderr)
        return False
    return True


def reason(error: Exception) -> str:
    """Return an error of a store in at most 200 characters on one line, without the password in an address."""
    text = without_password(" ".join(str(error).split()))
    if away := AWAY.search(text):
        text = f"{away['server']} does not answer ({away['why']})"
    return text[:200] or type(error).__name__


def without_password(text: str) -> str:
    """Return a text with what stands before the @ of an address left out."""
    return re.sub(r"//[^\s/@]*@", "//", text)


def _store(name: str) -> Store:
    if name == "mlflow":
        from textgate.tracking.mlflow_runs import MlflowRuns

        return MlflowRuns()
    try:
        from textgate.tracking.wandb_runs import WandbRuns
    except ModuleNotFoundError as error:
        cure = 'run ".venv/bin/python -m pip install -r requirements-wandb.txt"'
        raise CannotTell(
            f"{error.name} is not installed: {cure}, or set another tracking in configs/train.yaml"
        ) from error
    return WandbRuns()
