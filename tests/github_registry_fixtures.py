"""Fixtures of the tests of GitHub's releases as a registry: a pytest plug-in."""

import pytest
from tests.github_releases import publish
from tests.judged_example import judge
from tests.release_server import REPO, serve
from tests.small import fit_tfidf, seal_small

from textgate.github.api import GitHub
from textgate.registry.github import GitHubReleases
from textgate.release.release import build


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return a folder with build/ (judged), v0.1.0/ and v0.2.0/ (two releases of two bundles). Read only."""
    folder = tmp_path_factory.mktemp("made")
    for version, build_name, seed in (("v0.1.0", "build", 1), ("v0.2.0", "build2", 2)):
        bundle = folder / f"bundle{seed}"
        bundle.mkdir()
        fit_tfidf(seed).save(bundle)
        (bundle / "note.txt").write_text(version)
        seal_small(bundle)
        build(judge(bundle, folder / build_name), folder / version, version)
    return folder


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    server = serve(tmp_path_factory, monkeypatch)
    yield server
    server.close()


@pytest.fixture
def registry(server):
    return GitHubReleases(GitHub(REPO))


@pytest.fixture
def released(server, made):
    """Return a server that already has v0.1.0 as champion."""
    publish(server, made / "v0.1.0", latest=True)
    return server
