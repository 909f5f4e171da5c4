"""Read from its file, an embedded MLflow store holds what MLflow itself says; what is not as expected, MLflow reads."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from tests.mlflow_example import embedded, make_releases, migrated
from tests.run_script import ROOT

from textgate.errors import CannotTell
from textgate.registry.mlflow_rows import TABLES, read_rows
from textgate.registry.mlflow_store import Store
from textgate.registry.mlflow_versions import read_shelf

A, B, C = "v0.1.0", "v0.2.0", "v0.3.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with three releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Return a database without anything in it. Read only."""
    return migrated(tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory, made, empty):
    """Return a folder whose registry has a champion, a challenger, a retired version and a rollback. Read only."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copy(empty, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        registry = embedded(folder, patch)
        for version in (A, B):
            registry.register(made / version)
            registry.promote(version)
        registry.restore(A, B)
        registry.register(made / C)
    return folder


@pytest.fixture
def registry(filled, tmp_path, monkeypatch):
    """Return such a registry, free to be changed."""
    shutil.copy(filled / "mlflow.db", tmp_path)
    return embedded(tmp_path, monkeypatch)


def by_mlflow(registry):
    with registry.store.reading() as client:
        return read_shelf(client)


def change(registry, *statements):
    with closing(sqlite3.connect(registry.store.database)) as database, database:
        for statement in statements:
            database.execute(statement)


def test_read_rows__is_what_mlflow_says(registry):
    found = read_rows(registry.store)
    assert found == by_mlflow(registry)
    assert (found.champion, found.challenger) == (A, C)
    assert [kept.state for kept in found.versions] == ["complete", "retired", "complete"]
    assert len(found.events) == 3


def test_read_rows__neither_sees_what_is_not_of_textgate_nor_what_mlflow_hides(registry):
    with registry.store.reading() as client:
        client.create_registered_model("zebra")  # behind ours in each table
        client.set_registered_model_tag("zebra", "event.000009.00000000", "{}")
        client.create_model_version("textgate", "somewhere")
        for _ in "12":
            client.create_model_version("zebra", "somewhere", tags={"sums": "x"})
        client.set_registered_model_alias("zebra", "champion", "2")
    change(
        registry, "UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE name = 'textgate' AND version = 3"
    )
    change(registry, "DELETE FROM registered_model_aliases WHERE name = 'textgate' AND alias = 'challenger'")
    found = read_rows(registry.store)
    assert found == by_mlflow(registry)
    assert [kept.version for kept in found.versions] == [A, B]


def test_read_rows__another_workspace_is_not_meant(registry):
    change(
        registry,
        "PRAGMA foreign_keys = OFF",
        "INSERT INTO registered_model_aliases VALUES ('other', 2, 'textgate', 'elsewhere')",
        "UPDATE registered_model_aliases SET workspace = 'elsewhere' WHERE alias = 'champion'",
    )
    assert read_rows(registry.store).champion is None
    assert by_mlflow(registry).champion is None


def test_read_rows__an_empty_database_has_nothing(tmp_path, empty, monkeypatch):
    shutil.copy(empty, tmp_path)
    found = read_rows(embedded(tmp_path, monkeypatch).store)
    assert (found.versions, found.champion, found.events) == ((), None, ())


def test_read_rows__the_tables_are_those_of_the_mlflow_that_is_installed(empty):
    with closing(sqlite3.connect(empty)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(TABLES,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE alembic_version SET version_num = 'a later one'",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
        "DROP TABLE registered_model_aliases",
        "ALTER TABLE model_versions RENAME COLUMN run_id TO run",
    ],
)
def test_read_rows__tables_of_another_version_are_left_to_mlflow(registry, statement):
    change(registry, statement)
    assert read_rows(registry.store) is None


def test_read_rows__a_server_is_asked_by_mlflow():
    assert read_rows(Store("http://127.0.0.1:1", None)) is None


def test_read_rows__what_textgate_cannot_have_written_is_said(registry):
    change(registry, "UPDATE model_version_tags SET value = 'good' WHERE version = 1 AND key = 'state'")
    with pytest.raises(CannotTell, match="version 1 in MLflow has another state than textgate writes: mend it"):
        read_rows(registry.store)


def test_read_rows__an_alias_on_a_foreign_version_is_said(registry):
    change(registry, "UPDATE registered_model_aliases SET version = 9 WHERE alias = 'champion'")
    with pytest.raises(CannotTell, match="MLflow's alias champion is on version 9, which textgate did not register"):
        read_rows(registry.store)


def test_read_rows__a_database_that_another_program_holds_is_said(registry):
    with closing(sqlite3.connect(registry.store.database)) as database:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CannotTell, match="database is locked: wait for the program that uses it, then run this"):
            read_rows(registry.store)


def test_current__of_an_embedded_store_does_not_import_mlflow(filled):
    code = "import sys; from textgate.registry.chosen import chosen_registry as r; print(r().current(), *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=filled,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "TEXTGATE_REGISTRY": "mlflow", "MLFLOW_TRACKING_URI": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    version, *modules = done.stdout.split()
    assert version == A
    assert not {"mlflow", "sqlalchemy", "pandas"} & set(modules)
