"""A running GitHub and a template user's repository on it, new for each file of tests."""

import pytest
from tests.github.finished import Finished
from tests.github.hub import LocalGitHub
from tests.github.project import Project


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory):
    """Return a running local GitHub."""
    with LocalGitHub(tmp_path_factory.mktemp("github") / "hub") as running:
        yield running


@pytest.fixture(scope="module")
def project(hub: LocalGitHub, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a working tree of a template user, pushed to main."""
    return Project(hub, tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a run of ci that passed, made once: what comment.yml makes of a run needs no new training."""
    return Finished.of_a_good_pull_request(tmp_path_factory.mktemp("finished"))
