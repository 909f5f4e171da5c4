"""How the champion changed, kept in the descriptions of GitHub's releases, and what is built on it."""

import os
import subprocess
import sys

import pytest
from tests.github_releases import publish
from tests.mlflow_example import make_releases
from tests.release_server import REPO, serve
from tests.run_script import ROOT, finished, run_script

from textgate.errors import CannotTell, Refused
from textgate.github.api import GitHub
from textgate.registry.champion import champion_folder
from textgate.registry.github import GitHubReleases
from textgate.registry.github_history import END, START
from textgate.registry.rollback import roll_back
from textgate.registry.tables import comparison_table

A, B, C = "v0.1.0", "v0.2.0", "v0.3.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with three releases. Read only."""
    return make_releases(tmp_path_factory.mktemp("made"))


@pytest.fixture
def server(tmp_path_factory, monkeypatch, made):
    """Return a server with three releases, none of which is the latest."""
    monkeypatch.setenv("GITHUB_ACTOR", "ann")
    server = serve(tmp_path_factory, monkeypatch)
    for version in (A, B, C):
        publish(server, made / version)["body"] = f"Notes of {version}\n"
    yield server
    server.close()


@pytest.fixture
def registry(server):
    return GitHubReleases(GitHub(REPO))


def steps(registry):
    return [(event.number, event.before, event.version, event.rollback) for event in registry.history()]


def test_promote__writes_down_who_did_what_in_the_request_that_does_it(server, registry):
    registry.promote(A)
    server.log.clear()
    registry.promote(B)
    assert [method for method, _ in server.log if method != "GET"] == ["PATCH"]
    assert steps(registry) == [(1, None, A, False), (2, A, B, False)]
    assert {event.by for event in registry.history()} == {"ann"}
    body = server.release(B)["body"]
    assert body.startswith("Notes of v0.2.0\n\n<!-- textgate champion {")
    assert body.endswith("} -->\n")


def test_promote__again_writes_nothing_more(server, registry):
    registry.promote(A)
    before = server.release(A)["body"]
    registry.promote(A)
    assert server.release(A)["body"] == before


def test_promote__the_first_one_is_written_down_though_github_took_it_for_the_latest_already(server, registry):
    server.newest_is_latest = True
    registry.promote(C)
    assert steps(registry) == [(1, None, C, False)]


def test_promote__back_and_forth_is_kept_in_the_order_of_numbers(server, registry):
    for version in (A, B, A, C, A):
        registry.promote(version)
    assert [event.version for event in registry.history()] == [A, B, A, C, A]
    assert [event.number for event in registry.history()] == [1, 2, 3, 4, 5]
    server.release(A)["body"] = server.release(A)["body"].replace("\n", "\r\n")  # as GitHub's own editor leaves it
    assert [event.number for event in registry.history()] == [1, 2, 3, 4, 5]


def test_history__the_latest_moved_on_githubs_page_is_shown_without_a_name(server, registry):
    registry.promote(A)
    server.latest = server.release(B)["id"]
    assert steps(registry) == [(1, None, A, False), (0, A, B, False)]
    assert roll_back(registry) == (A, B)
    assert steps(registry)[-1] == (2, B, A, True)


def test_history__without_releases_or_promotions_there_is_none(server, registry):
    assert registry.history() == ()
    server.releases.clear()
    assert registry.history() == ()


def test_history__a_clock_that_goes_back_does_not_change_the_order(server, registry):
    registry.promote(A)
    body = server.release(A)["body"]
    at = registry.history()[0].at
    server.release(A)["body"] = body.replace(at, "2099-01-01T00:00:00Z")  # that clock was years ahead of this one
    registry.promote(B)
    happened = registry.history()
    assert [event.version for event in happened] == [A, B]
    assert happened[0].at > happened[1].at
    assert roll_back(registry) == (A, B)


def test_history__of_200_versions_takes_five_requests(server, registry):
    registry.promote(A)
    for number in range(3, 200):
        server.add(f"v1.0.{number}")["body"] = "Notes\n"
    registry.promote("v1.0.199")
    server.log.clear()
    assert [event.version for event in registry.history()] == [A, "v1.0.199"]
    assert (len(server.releases), len(server.log) <= 5) == (200, True)


def test_history__lines_that_stand_above_others_words_or_name_another_version_do_not_count(server, registry):
    registry.promote(A)
    line = server.release(A)["body"].splitlines()[-1]
    foreign = line.replace('"number":1', '"number":5').replace('"before":null', '"before":"v0.3.0"')
    server.release(C)["body"] = f"Notes\n\n{foreign}\n"
    assert steps(registry) == [(1, None, A, False)]
    server.release(A)["body"] = f"{foreign}\nwords below it\n{line}\n"
    assert steps(registry) == [(1, None, A, False)]


@pytest.mark.parametrize("event", ["", "{}", '{"number": 1, "version": "v0.1.0", "before": null, "at": "yesterday"}'])
def test_history__a_broken_line_is_unknown(server, registry, event):
    server.release(A)["body"] = f"Notes\n\n{START}{event}{END}\n"
    with pytest.raises(CannotTell, match=r"the description of v0\.1\.0 ends in a broken history: mend it"):
        registry.history()
    with pytest.raises(CannotTell, match="ends in a broken history"):
        registry.promote(B)
    assert server.latest is None


def test_rollback__returns_to_what_served_before_and_a_second_one_goes_no_further(server, registry):
    for version in (A, B, C):
        registry.promote(version)
    assert roll_back(registry) == (B, C)
    assert roll_back(registry) == (B, C)
    assert registry.current() == B


def test_rollback__checks_the_assets_first(server, registry):
    registry.promote(A)
    registry.promote(B)
    number = server.asset(A, "scan.json")["id"]
    server.contents[number] = server.contents[number][:-1] + b"!"
    with pytest.raises(Refused, match=r"scan\.json is not the file that SHA256SUMS lists"):
        roll_back(registry)
    assert registry.current() == B


def test_rollback__a_champion_promoted_meanwhile_stays(server, registry):
    registry.promote(A)
    registry.promote(C)
    with pytest.raises(
        Refused, match=r"v0\.3\.0 was promoted over v0\.2\.0 meanwhile: nothing was changed, look again"
    ):
        registry.promote(A, over=B)
    assert registry.current() == C


def test_restore__is_a_rollback_in_the_history(server, registry):
    registry.promote(A)
    registry.restore(registry.promote(B), B)
    assert steps(registry) == [(1, None, A, False), (2, A, B, False), (3, B, A, True)]
    assert server.release(B)["body"].startswith("> **Withdrawn")


def test_challenger__is_the_newest_version_if_it_is_newer_than_the_champion(server, registry):
    assert registry.challenger() == C
    registry.promote(B)
    assert registry.challenger() == C
    registry.promote(C)
    assert registry.challenger() is None
    server.releases.clear()
    assert registry.challenger() is None


def test_retire__makes_it_a_pre_release_that_is_never_promoted(server, registry):
    registry.promote(A)
    with pytest.raises(Refused, match=r"v0\.1\.0 is the champion: promote another version first"):
        registry.retire(A)
    for _ in range(2):
        registry.retire(B)
        assert server.release(B)["body"] == "> **Retired.** Do not use it.\n\nNotes of v0.2.0\n"
    with pytest.raises(Refused, match=r"v0\.2\.0 is marked as a pre-release"):
        registry.promote(B)
    with pytest.raises(Refused, match=r"v9\.9\.9 was never released: name one that was"):
        registry.retire("v9.9.9")


def test_champion_and_comparison__work_on_github_too(server, registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry.promote(A)
    assert champion_folder(registry, tmp_path / "champion") == str(tmp_path / "champion")
    downloads = len(server.log)
    champion_folder(registry, tmp_path / "champion")
    assert len(server.log) - downloads < 5
    assert comparison_table(registry, A, B).splitlines()[0].split() == [A, B, "difference"]


def test_scripts__rollback_and_history(server, registry):
    registry.promote(A)
    registry.promote(B)
    code, said, err = finished(run_script("registry", "rollback"))
    assert (code, err) == (0, "")
    assert said.startswith("v0.1.0 is the champion again in the place of v0.2.0")
    assert [line.split()[-2:] for line in finished(run_script("registry", "history"))[1].splitlines()[1:]] == [
        ["none", A], [A, B], [B, A]
    ]  # fmt: skip


def test_scripts__github_needs_no_mlflow(server):
    """The jobs that publish have an environment with two packages."""
    code = (
        "import sys; from textgate.registry.chosen import chosen_registry; chosen_registry().history(); "
        "print({'mlflow', 'numpy', 'sqlalchemy'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
