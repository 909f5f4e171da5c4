"""Releases to register, and embedded MLflow stores to register them in."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from tests.judged_example import judge
from tests.small import fit_tfidf, seal_small

from textgate.registry.mlflow_registry import MlflowRegistry
from textgate.registry.mlflow_store import store
from textgate.release.release import build

A, B, C = VERSIONS = ("v0.1.0", "v0.2.0", "v0.3.0")


def make_releases(folder, versions=VERSIONS):
    """Build a folder for each version, of a bundle of its own, and return `folder`; the last one has 2 MB."""
    model = folder / "model"
    model.mkdir()
    fit_tfidf(1).save(model)
    for version in versions:
        bundle = shutil.copytree(model, folder / f"bundle-{version}")
        (bundle / "note.txt").write_text(version * (300_000 if version == VERSIONS[-1] else 1))
        seal_small(bundle)
        build(judge(bundle, folder / f"judged-{version}"), folder / version, version)
    return folder


def embedded(folder, monkeypatch):
    """Return the registry in the empty folder `folder`, which becomes the working folder."""
    monkeypatch.chdir(folder)
    for name in ("MLFLOW_TRACKING_URI", "TEXTGATE_REGISTRY", "GITHUB_ACTOR", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    return MlflowRegistry(store())


def migrated(folder):
    """Return a database with MLflow's tables and nothing in them."""
    (folder / "mlflow.db").write_bytes(_tables())
    return folder / "mlflow.db"


@cache
def _tables():
    """Return such a database's bytes. MLflow takes seconds to make it: once for all tests of a process."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        address = f"sqlite:///{folder}/mlflow.db"
        MlflowClient(address, address).search_registered_models()
        return Path(folder, "mlflow.db").read_bytes()


def release_files(registry, version):
    """Return the folder that MLflow keeps the files of a version in."""
    with registry.store.reading() as client:
        (found,) = [kept for kept in client.search_model_versions("name='textgate'") if kept.tags["version"] == version]
        return Path(client.get_run(found.run_id).info.artifact_uri.removeprefix("file://"), "release")


def aliases(database):
    """Return the aliases as they are in the database."""
    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute(
            "SELECT a.alias, t.value FROM registered_model_aliases a JOIN model_version_tags t "
            "ON t.name = a.name AND t.version = a.version AND t.key = 'version'"
        )
        return dict(rows.fetchall())
