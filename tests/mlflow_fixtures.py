"""Fixtures of the tests of MLflow as a registry: a pytest plug-in."""

import shutil

import pytest
from tests.mlflow_example import A, B, embedded, make_releases, migrated


@pytest.fixture(scope="session")
def three_releases(tmp_path_factory):
    """Return a folder with three releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Return a database without anything in it. Read only."""
    return migrated(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def embedded_registry(tmp_path, monkeypatch, empty_database):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return embedded(tmp_path, monkeypatch)


@pytest.fixture
def two(embedded_registry, three_releases):
    """Return an embedded registry with v0.1.0 as champion and v0.2.0 as challenger."""
    embedded_registry.register(three_releases / A)
    embedded_registry.promote(A)
    embedded_registry.register(three_releases / B)
    return embedded_registry
