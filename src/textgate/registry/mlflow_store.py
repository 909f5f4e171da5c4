"""An MLflow store: mlflow.db in this folder, or a server; its errors are one line each."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textgate.errors import CannotTell, TextgateError
from textgate.mlflow_database import address, database, load_mlflow, make_whole

MODEL = "textgate"  # the registered model
SECONDS = 5  # to wait for another program that uses the database
PATIENCE = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # three tries in all, in less than 30 s
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "7",
}


@dataclass(frozen=True)
class Store:
    """Where an MLflow store is. `database` is the file of an embedded one, None for a server."""

    address: str
    database: Path | None

    @property
    def folder(self) -> Path | None:
        """The folder beside the database that release files go to; None for a server, which has its own."""
        return self.database.resolve().parent / "mlruns" / "releases" if self.database else None

    def holds_nothing(self) -> bool:
        """Say whether nothing was ever registered, as far as one can see without MLflow, which takes seconds.

        An embedded store that does not exist is not made to learn that. Raises CannotTell if it cannot be read.
        """
        if self.database is None:
            return False
        if not os.path.lexists(self.database):
            return True
        with self.opened() as database:
            try:
                found = database.execute("SELECT 1 FROM registered_models WHERE name = ?", (MODEL,)).fetchone()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return False
                raise
        return found is None

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection to the file of an embedded store, for reading. What it raises becomes CannotTell."""
        try:  # not read-only: what a killed process left half-written is first taken back
            with closing(sqlite3.connect(_uri(self.database, "rw"), uri=True, timeout=SECONDS)) as database:
                yield database
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Yield an MlflowClient. What MLflow, a network or a disk raises within becomes CannotTell."""
        with self._told():
            yield self._client()

    @contextmanager
    def changing(self) -> Iterator[Any]:
        """Yield an MlflowClient; for an embedded store, nobody else can change it meanwhile."""
        with self._told(), self._alone():
            yield self._client()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except TextgateError:
            raise
        except Exception as error:
            if (line := self._line(error)) is None:
                raise
            raise CannotTell(line) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.database is None or self.folder is None:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / "textgate.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CannotTell(
                    f"another process is changing the registry in {self.database}: wait for it, then run this again"
                ) from error
            make_whole(self.database)
            self._not_locked()
            yield

    def _not_locked(self) -> None:
        """Raise CannotTell at once for a database that another program holds; MLflow would try for minutes."""
        with self.opened() as database:
            database.execute("BEGIN IMMEDIATE")

    def _unusable(self, error: sqlite3.DatabaseError) -> CannotTell:
        cure = "wait for the program that uses it" if "locked" in str(error) else "mend it, or move it away"
        return CannotTell(f"{self.database}: {error}: {cure}, then run this again")

    def _client(self) -> Any:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        return load_mlflow().MlflowClient(self.address, self.address)

    def _line(self, error: Exception) -> str | None:
        """Return what to say about an error of MLflow, a database, a network or a disk; None for any other."""
        import requests
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        shown = re.sub(r"//[^\s/@]*@", "//", self.address)  # it may hold a password
        reason = re.sub(r"//[^\s/@]*@", "//", " ".join(str(error).split())).partition(" [SQL: ")[0]
        if isinstance(error, requests.RequestException) or "failed with exception" in reason:
            return f"the MLflow server at {shown} does not answer (three tries): start it, or set MLFLOW_TRACKING_URI"
        if isinstance(error, (MlflowException, SQLAlchemyError)):
            return f"MLflow at {shown} says: {reason[:300]}: mend that, then run this again"
        if isinstance(error, OSError) and error.strerror:
            return f"{error.filename or shown}: {error.strerror}: free some space or rights, then run this again"
        return None


def store() -> Store:
    """Return the store that MLFLOW_TRACKING_URI names, else the embedded one in this folder."""
    where = address()
    file = database(where)
    if file is None:
        return Store(where, None)
    return Store(f"sqlite:///{file.absolute()}{''.join(where.partition('?')[1:])}", file)  # however the folder changes


def _uri(database: Path | None, mode: str) -> str:
    return f"{Path(str(database)).resolve().as_uri()}?mode={mode}"
