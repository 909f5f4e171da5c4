"""What an embedded MLflow store holds about releases, read from its file: to import MLflow for it takes seconds.

Only tables of the version that this was written for are read here; those of any other are for MLflow to read.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from textgate.registry.mlflow_store import MODEL, Store
from textgate.registry.mlflow_versions import RawVersion, Shelf, to_shelf

TABLES = "dc11669786a5"  # what MLflow 3.17 calls its tables; a test compares this with what it makes
OURS = (MODEL, "default")  # the workspace that MLflow means, unless it is told another
ALIASES = "SELECT alias, version FROM registered_model_aliases WHERE name = ? AND workspace = ?"
TAGS = "SELECT key, value FROM registered_model_tags WHERE name = ? AND workspace = ?"
VERSION_TAGS = "SELECT version, key, value FROM model_version_tags WHERE name = ? AND workspace = ?"
SHOWN = "current_stage != 'Deleted_Internal'"  # as MLflow shows them
VERSIONS = f"SELECT version, run_id FROM model_versions WHERE name = ? AND workspace = ? AND {SHOWN}"  # noqa: S608


def read_rows(store: Store) -> Shelf | None:
    """Read the registered model; None if MLflow has to: for a server, and for tables of another version.

    Raises CannotTell for a file that cannot be read, and for what textgate cannot have written.
    """
    if store.database is None:
        return None
    with store.opened() as database:
        try:
            database.execute("BEGIN")  # all that is read is of one moment
            if database.execute("SELECT version_num FROM alembic_version").fetchall() != [(TABLES,)]:
                return None
            return _read(database)
        except sqlite3.OperationalError as error:
            if "no such" in str(error):  # a table or a column
                return None
            raise


def _read(database: sqlite3.Connection) -> Shelf:
    aliases, tags = (dict(database.execute(asked, OURS).fetchall()) for asked in (ALIASES, TAGS))
    told: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for number, key, value in database.execute(VERSION_TAGS, OURS):
        told[number][key] = value
    versions = database.execute(VERSIONS, OURS).fetchall()
    return to_shelf(aliases, tags, [RawVersion(number, run_id, told[number]) for number, run_id in versions])
