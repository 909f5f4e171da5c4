"""Promotions and rollbacks on GitHub, killed with signal 9 at any of their requests, and two of them at once."""

import copy
import os
import signal
import threading

import pytest
from tests.github_releases import publish
from tests.mlflow_example import make_releases
from tests.release_server import REPO, serve
from tests.run_script import finished, run_script

from textgate.errors import CannotTell
from textgate.github.api import GitHub
from textgate.registry.github import GitHubReleases

A, B, C = "v0.1.0", "v0.2.0", "v0.3.0"
COMMANDS = {"promote": (("promote", C), C, False), "rollback": (("rollback",), A, True)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with three releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"))


@pytest.fixture
def server(tmp_path_factory, monkeypatch, made):
    """Return a server with three releases, of which v0.2.0 came after v0.1.0 as champion."""
    server = serve(tmp_path_factory, monkeypatch)
    for version in (A, B, C):
        publish(server, made / version)
    for version in (A, B):
        GitHubReleases(GitHub(REPO)).promote(version)
    monkeypatch.chdir(tmp_path_factory.mktemp("project"))
    yield server
    server.close()


@pytest.fixture
def registry(server):
    return GitHubReleases(GitHub(REPO))


class Hold:
    """Leaves the request with this number unanswered, before or after it was done."""

    def __init__(self, server, number):
        """Take the place of the server's `on_request`."""
        self.left, self.reached, self.go_on = number, threading.Event(), threading.Event()
        server.on_request = self

    def __call__(self, *_):
        """Wait here if this is the one."""
        self.left -= 1
        if self.left == 0:
            self.reached.set()
            self.go_on.wait(600)


def steps(registry):
    return [(event.number, event.before, event.version, event.rollback) for event in registry.history()]


BEFORE = [(1, None, A, False), (2, A, B, False)]


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_champion__killed_at_any_request_there_is_one_and_the_same_command_finishes(server, registry, command):
    words, wanted, rollback = COMMANDS[command]
    start = copy.deepcopy(server.releases), server.latest
    server.log.clear()
    assert finished(run_script("registry", *words))[0] == 0
    requests, after = len(server.log), [*BEFORE, (3, B, wanted, rollback)]
    assert steps(registry) == after
    moments = range(1, requests + 1, max(1, requests // 15))
    assert len(moments) >= 7
    for number in moments:
        server.releases, server.latest = copy.deepcopy(start[0]), start[1]
        hold = Hold(server, number)
        process = run_script("registry", *words)
        assert hold.reached.wait(600)
        os.killpg(process.pid, signal.SIGKILL)
        finished(process)
        server.on_request = None
        moved = registry.current() == wanted
        assert moved or registry.current() == B
        assert steps(registry) == (after if moved else BEFORE)
        hold.go_on.set()  # what was sent may still arrive
        code, _, err = finished(run_script("registry", *words))
        assert (code, err) == (0, "")
        assert steps(registry) == after
        assert registry.current() == wanted
        assert not any(release["draft"] or release["prerelease"] for release in server.releases)


@pytest.mark.parametrize("command", COMMANDS)
def test_champion__killed_when_latest_has_moved_the_same_command_finishes(server, registry, command):
    words, wanted, rollback = COMMANDS[command]
    server.changes, server.stop_at = 0, 1
    process = run_script("registry", *words)
    assert server.reached.wait(600)
    os.killpg(process.pid, signal.SIGKILL)
    finished(process)
    server.go_on.set()
    assert steps(registry) == [*BEFORE, (3, B, wanted, rollback)]
    assert finished(run_script("registry", *words))[0] == 0
    assert steps(registry) == [*BEFORE, (3, B, wanted, rollback)]


def test_promote__two_at_once_leave_one_champion_and_the_other_is_told(server, registry):
    def meanwhile(method, path):
        if method == "GET" and path == "releases/latest" and server.latest == server.release(C)["id"]:
            server.on_request = None
            registry.promote(A)

    server.on_request = meanwhile
    with pytest.raises(CannotTell, match=r"GitHub still names 'v0\.1\.0' as the latest release, not v0\.3\.0: promote"):
        GitHubReleases(GitHub(REPO)).promote(C)
    assert registry.current() == A
    assert [version for _, _, version, _ in steps(registry)] == [A, B, C, A]
