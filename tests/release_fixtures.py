"""Fixtures of the tests that build, check and pack a release: a pytest plug-in."""

import shutil

import pytest
from tests.judged_example import judge
from tests.small import fit_tfidf, seal_small

from textgate.release.release import build


@pytest.fixture(scope="session")
def judged_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    bundle = folder / "bundle"
    bundle.mkdir()
    fit_tfidf().save(bundle)
    seal_small(bundle)
    judge(bundle, folder / "build")
    build(folder / "build", folder / "release", "v0.1.0")
    return folder


@pytest.fixture
def judged(judged_once, tmp_path):
    """Return a folder like build/, free to be damaged."""
    return shutil.copytree(judged_once / "build", tmp_path / "build")


@pytest.fixture
def release(judged_once, tmp_path):
    """Return a folder of release assets, free to be damaged."""
    return shutil.copytree(judged_once / "release", tmp_path / "release")
