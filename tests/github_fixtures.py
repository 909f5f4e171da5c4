"""Fixtures of the tests that talk to GitHub: a pytest plug-in."""

import pytest
from tests.github_api import certificate, environment, served


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    """Return a folder with a certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder)
    return folder


@pytest.fixture
def api(tls, monkeypatch):
    """Return a small GitHub that gh talks to in this test."""
    with served(tls) as api:
        for name, value in environment(api, tls).items():
            monkeypatch.setenv(name, value)
        yield api
