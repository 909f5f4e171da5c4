"""mlflow.db: where it is, and how it comes into being whole. Runs and registry share it, and a server has its own."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from textgate.errors import CannotTell

EMBEDDED = "sqlite:///mlflow.db"


def address() -> str:
    """Return where runs and registry are; an empty MLFLOW_TRACKING_URI, such as a variable nobody set, is none."""
    return os.environ.get("MLFLOW_TRACKING_URI") or EMBEDDED


def database(address: str) -> Path | None:
    """Return the file of an SQLite address, None for any other. Raises CannotTell for one that names no file."""
    if not address.startswith("sqlite:"):
        return None
    name = address.removeprefix("sqlite:///").partition("?")[0]
    if not address.startswith("sqlite:///") or not name:
        raise CannotTell(f"MLFLOW_TRACKING_URI is {address[:80]!a}, which names no file: write it as {EMBEDDED}")
    return Path(name)


def load_mlflow() -> Any:
    """Import MLflow, which takes seconds, and keep it to itself: what it logs is in its exceptions too."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    for name in ("alembic", "mlflow"):  # its import sets what it logs
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return mlflow


def make_whole(file: Path) -> None:
    """Make the database if it is not there, elsewhere first: one that MLflow was killed at making never opens again.

    Waits for another process that makes it. Raises what MLflow and the disk raise.
    """
    place = file.resolve().parent / "mlruns"
    if os.path.lexists(file):
        return
    place.mkdir(parents=True, exist_ok=True)
    mlflow = load_mlflow()
    with (place / "new.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in place.glob(".new-*"):  # of a killed one: the lock went with it
            shutil.rmtree(left)
        if os.path.lexists(file):
            return
        with tempfile.TemporaryDirectory(prefix=".new-", dir=place) as folder:
            made = Path(folder, "mlflow.db").resolve()
            mlflow.MlflowClient(f"sqlite:///{made}", f"sqlite:///{made}").search_registered_models()
            with contextlib.suppress(FileExistsError):  # MLflow's own programs made it meanwhile
                os.link(made, file)
