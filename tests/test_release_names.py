"""Names that are taken, and production that has gone on."""

import pytest
from tests.judged_example import COMMIT, OTHER
from tests.release_files import content
from tests.release_server import REPO, serve
from tests.run_script import finished, outputs, run_script

from textgate.errors import CannotTell, Refused
from textgate.github.api import GitHub
from textgate.registry.github import GitHubReleases
from textgate.release.assets import archive_name
from textgate.release.release import release_as
from textgate.release.superseded import superseded_by

pytest_plugins = ("tests.release_fixtures",)


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    found = serve(tmp_path_factory, monkeypatch)
    yield found
    found.close()


def test_release_as__the_same_version_of_the_same_bundle_is_built_again(server, judged, release, tmp_path):
    registry = GitHubReleases(GitHub(REPO))
    registry.register(release)
    made = release_as(judged, tmp_path / "out", registry, "0.1.0", None)
    assert (made.version, made.state) == ("v0.1.0", "new")
    assert content(tmp_path / "out") == content(release)
    assert registry.register(tmp_path / "out")[1] == "already"


def test_release_as__a_version_of_another_bundle_is_refused(server, judged, tmp_path):
    server.put(server.add("v0.1.0"), archive_name(OTHER), b"x")
    with pytest.raises(
        Refused, match=r"^v0\.1\.0 is taken, but not by this bundle: take another version, none is over"
    ):
        release_as(judged, tmp_path / "out", GitHubReleases(GitHub(REPO)), "0.1.0", None)
    assert not (tmp_path / "out").exists()


HEAD = "d" * 40


def champion_at(server, commit, tag="v0.5.0"):
    server.add(tag, latest=True)
    server.tags[tag] = ("commit", commit)


def test_superseded_by__a_champion_of_a_later_commit_wins(server, judged, tmp_path):
    champion_at(server, HEAD)
    server.compared[COMMIT, HEAD] = "ahead"
    assert superseded_by(GitHub(REPO), judged) == "v0.5.0"
    options = ("--from", judged, "--to", tmp_path / "out")
    code, said, err = finished(run_script("release", *options, GITHUB_OUTPUT=str(tmp_path / "o")))
    assert (code, err) == (0, "")
    assert said == "v0.5.0, the champion, was made from a later commit: nothing to do\n"
    assert outputs(tmp_path / "o") == {"version": "", "digest": "", "state": "superseded"}
    assert not (tmp_path / "out").exists()
    assert finished(run_script("release", *options, "--tag", "v0.6.0"))[0] == 0  # a person may


@pytest.mark.parametrize("how", ["behind", "diverged", "identical"])
def test_superseded_by__any_other_champion_does_not(server, judged, how):
    champion_at(server, HEAD)
    server.compared[COMMIT, HEAD] = how
    assert superseded_by(GitHub(REPO), judged) is None


def test_superseded_by__no_champion_the_same_commit_and_odd_names_do_not(server, judged):
    assert superseded_by(GitHub(REPO), judged) is None
    champion_at(server, COMMIT)
    assert superseded_by(GitHub(REPO), judged) is None
    champion_at(server, HEAD, "nightly")
    server.compared[COMMIT, HEAD] = "ahead"
    assert superseded_by(GitHub(REPO), judged) is None


def test_superseded_by__what_github_cannot_compare_is_unknown(server, judged):
    champion_at(server, HEAD)
    server.compared[COMMIT, HEAD] = "sideways"
    with pytest.raises(CannotTell, match=r"GitHub cannot compare cccccccccccc with v0\.5\.0 \('sideways'\): is this"):
        superseded_by(GitHub(REPO), judged)
    server.status[f"compare/{COMMIT}...{HEAD}"] = 404
    with pytest.raises(CannotTell, match="404"):
        superseded_by(GitHub(REPO), judged)
