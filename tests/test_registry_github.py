"""GitHub releases as a registry, over HTTPS with the real gh: whole or not at all, verified, and safe to repeat."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from tests.judged_example import COMMIT, OTHER, judge
from tests.release_server import REPO, serve
from tests.run_script import ROOT, finished, outputs, run_script
from tests.small import fit_tfidf, seal_small
from tests.test_release import altered, relist

from textgate.bundle import digest, verify
from textgate.choose import find_champion
from textgate.errors import CannotTell, Refused
from textgate.github.api import GitHub
from textgate.registry.github import GitHubReleases
from textgate.release.assets import SUMS
from textgate.release.release import NEXT, build, release_from

WORDS = ("bundle", "data.json", "gate.json", "metrics.json", "comparison.json", "model-tests.json", "scan.json",
         "train.json", "release.json", "MODEL_CARD.md", "bom.cdx.json", "NOTES.md", SUMS)  # fmt: skip


@pytest.fixture(scope="module")
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


def publish(server, folder, *, latest=False, draft=False):
    """Put a release there without going through the code under test."""
    version = json.loads((folder / "release.json").read_text())["version"]
    release = server.add(version, draft=draft, latest=latest)
    for path in folder.iterdir():
        server.put(release, path.name, path.read_bytes())
    if not draft:
        server.tags[version] = ("commit", COMMIT)
    return release


def holds(server, version, folder):
    release = server.release(version)
    assert {asset["name"]: server.contents[asset["id"]] for asset in release["assets"]} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert (release["draft"], release["prerelease"]) == (False, False)
    assert server.tags[version] == ("commit", COMMIT)


# --- current


def test_current__is_the_release_marked_latest(released, registry, made):
    publish(released, made / "v0.2.0")
    assert registry.current() == "v0.1.0"
    assert registry.versions() == ("v0.2.0", "v0.1.0")


def test_current__none_yet_is_said_by_a_repository_without_full_releases(server, registry):
    server.add("v0.1.0", draft=True)
    server.add("v0.2.0", prerelease=True)
    assert registry.current() is None


def test_current__a_release_that_nobody_promoted_is_not_none_yet(server, registry, made):
    publish(server, made / "v0.1.0")
    with pytest.raises(CannotTell, match=r"'v0\.1\.0' is released, but no release is the latest: promote one"):
        registry.current()


def test_current__a_latest_release_that_is_no_version_is_not_taken(server, registry):
    server.add("nightly", latest=True)
    with pytest.raises(CannotTell, match="the latest release is 'nightly', which is no version: promote one that is"):
        registry.current()


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("releases/latest", 500, r"releases/latest: GitHub is in trouble \(500\)"),
        ("releases/latest", 401, r"GitHub does not take the token \(401\)"),
        ("releases/latest", 403, r"the token has no right to do this \(403\)"),
        ("", 404, r"not found \(404\)"),
        ("releases", 404, r"releases: not found \(404\)"),
        ("releases", 500, r"releases: GitHub is in trouble \(500\)"),
    ],
)
def test_current__any_other_answer_is_unknown_and_never_none_yet(server, registry, path, status, said):
    server.status[path] = status
    with pytest.raises(CannotTell, match=said):
        registry.current()


def test_current__no_network_is_unknown(server, registry, monkeypatch):
    monkeypatch.setenv("GH_HOST", "localhost:1")
    with pytest.raises(CannotTell, match="GitHub cannot be reached"):
        registry.current()


def test_current__an_answer_of_another_form_is_unknown(server, registry):
    server.releases.append({"id": 1, "tag_name": 5})
    server.latest = 1
    with pytest.raises(CannotTell, match="answer about the latest release has an unknown form"):
        registry.current()


# --- register


def test_register__publishes_all_of_it_at_the_judged_commit_and_moves_no_champion(released, registry, made):
    release, state = registry.register(made / "v0.2.0")
    assert (release.version, state) == ("v0.2.0", "new")
    holds(released, "v0.2.0", made / "v0.2.0")
    assert registry.current() == "v0.1.0"
    assert released.release("v0.2.0")["body"].startswith("### textgate passed this model")
    assert released.release("v0.2.0")["target_commitish"] == COMMIT


def test_register__with_a_tag_names_no_commit__which_github_may_refuse(server, registry, made):
    server.tags["v0.1.0"] = ("commit", COMMIT)
    registry.register(made / "v0.1.0")
    assert server.release("v0.1.0")["target_commitish"] == ""
    assert server.tags["v0.1.0"] == ("commit", COMMIT)


def test_register__nothing_is_public_before_all_of_it_is_there(server, registry, made):
    seen = []
    server.on_request = lambda *_: seen.append([release["draft"] for release in server.releases])
    registry.register(made / "v0.1.0")
    published = seen.index([False])
    uploads = [
        index for index, (method, path) in enumerate(server.log) if path.endswith("/assets") and method == "POST"
    ]
    assert len(uploads) == 13
    assert max(uploads) < published


def test_register__again_is_already_there_and_changes_nothing(server, registry, made):
    registry.register(made / "v0.1.0")
    server.log.clear()
    assert registry.register(made / "v0.1.0")[1] == "already"
    assert {method for method, _ in server.log} == {"GET"}


def test_register__again_without_hashes_from_github_compares_the_bytes(server, registry, made):
    server.gives_hashes = False
    assert registry.register(made / "v0.1.0")[1] == "new"
    assert registry.register(made / "v0.1.0")[1] == "already"
    number = server.asset("v0.1.0", "scan.json")["id"]
    server.contents[number] = server.contents[number][:-1] + b"!"
    with pytest.raises(Refused, match=r"v0\.1\.0 is released already, with another scan\.json"):
        registry.register(made / "v0.1.0")


def test_register__a_version_with_other_content_is_never_overwritten(server, registry, made, tmp_path):
    registry.register(made / "v0.1.0")
    other = tmp_path / "v0.1.0"
    build(made / "build2", other, "v0.1.0")
    server.log.clear()
    with pytest.raises(Refused, match=r"v0\.1\.0 is released already, with another .*: take another version, none is"):
        registry.register(other)
    assert {method for method, _ in server.log} == {"GET"}


def test_register__a_published_version_with_one_more_asset_is_refused(server, registry, made):
    registry.register(made / "v0.1.0")
    server.put(server.release("v0.1.0"), "note.txt", b"hello")
    with pytest.raises(Refused, match=r"is released already, with another note\.txt"):
        registry.register(made / "v0.1.0")


def test_register__a_pre_release_is_not_the_same(server, registry, made):
    registry.register(made / "v0.1.0")
    server.release("v0.1.0")["prerelease"] = True
    with pytest.raises(Refused, match=r"v0\.1\.0 is released already, as a pre-release"):
        registry.register(made / "v0.1.0")


def test_register__a_draft_of_the_same_version_is_made_to_fit(server, registry, made):
    draft = server.add("v0.1.0", draft=True)
    server.put(draft, "gate.json", b"something else")
    server.put(draft, "note.txt", b"hello")
    server.put(draft, "scan.json", b"").update(state="starter", digest=None)
    right = server.put(draft, "train.json", (made / "v0.1.0" / "train.json").read_bytes())
    server.add("v0.1.0", draft=True)
    assert registry.register(made / "v0.1.0")[1] == "new"
    holds(server, "v0.1.0", made / "v0.1.0")
    assert server.release("v0.1.0")["id"] == draft["id"]
    assert server.asset("v0.1.0", "train.json")["id"] == right["id"]


def test_register__a_tag_on_the_judged_commit_is_used(server, registry, made):
    server.tags["v0.1.0"] = ("tag", "b" * 40)
    server.tag_objects["b" * 40] = ("commit", COMMIT)
    assert registry.register(made / "v0.1.0")[1] == "new"
    assert server.tags["v0.1.0"] == ("tag", "b" * 40)


@pytest.mark.parametrize("kind", ["commit", "tag"])
def test_register__a_tag_on_another_commit_is_refused_before_anything_is_made(server, registry, made, kind):
    server.tags["v0.1.0"] = (kind, "d" * 40)
    server.tag_objects["d" * 40] = ("commit", "d" * 40)
    with pytest.raises(Refused, match=r"the tag v0\.1\.0 is on commit dddddddddddd, but cccccccccccc was judged"):
        registry.register(made / "v0.1.0")
    assert server.releases == []


def test_register__a_tag_that_leads_to_no_commit_is_unknown(server, registry, made):
    server.tags["v0.1.0"] = ("tag", "d" * 40)
    server.tag_objects["d" * 40] = ("tag", "d" * 40)
    with pytest.raises(CannotTell, match=r"the tag v0\.1\.0 leads to no commit"):
        registry.register(made / "v0.1.0")
    server.tags["v0.1.0"] = ("tree", "d" * 40)
    with pytest.raises(CannotTell, match=r"the tag v0\.1\.0 leads to no commit"):
        registry.register(made / "v0.1.0")


def test_register__a_tag_that_somebody_moved_meanwhile_is_seen(server, registry, made):
    def move(method, path):
        if path.startswith("git/ref") and any(not release["draft"] for release in server.releases):
            server.tags["v0.1.0"] = ("commit", "d" * 40)

    server.on_request = move
    with pytest.raises(Refused, match=r"the tag v0\.1\.0 is on commit dddddddddddd"):
        registry.register(made / "v0.1.0")


def test_register__a_folder_that_is_no_whole_release_asks_github_nothing(server, registry, made, tmp_path):
    folder = shutil.copytree(made / "v0.1.0", tmp_path / "v0.1.0")
    (folder / "scan.json").unlink()
    with pytest.raises(Refused, match=r"scan\.json is missing"):
        registry.register(folder)
    assert server.log == []


def test_register__what_arrives_otherwise_than_it_was_sent_is_not_published(server, registry, made):
    def spoil(method, path):
        for release in server.releases:
            for asset in release["assets"]:
                if asset["name"] == "gate.json":
                    asset["digest"] = f"sha256:{OTHER}"

    server.on_request = spoil
    with pytest.raises(
        CannotTell, match=r"gate\.json of the draft v0\.1\.0 did not arrive as it is here: run this again"
    ):
        registry.register(made / "v0.1.0")
    assert server.release("v0.1.0")["draft"]


@pytest.mark.parametrize(
    ("change", "half"), [(1, False), (2, True), (2, False), (7, True), (8, False), (14, True), (14, False), (15, False)]
)
def test_register__killed_after_any_change_the_same_command_finishes_the_work(server, made, change, half):
    """Change 1 makes the draft, 2 to 14 upload thirteen files (half: cut off on their way), 15 publishes."""
    server.stop_at, server.half = change, half
    process = run_script("registry", "register", made / "v0.1.0")
    assert server.reached.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    finished(process)
    server.go_on.set()
    assert len(server.releases) == 1
    assert server.releases[0]["draft"] == (change < 15)
    code, out, err = finished(run_script("registry", "register", made / "v0.1.0"))
    assert (code, err) == (0, "")
    assert f"state={'already' if change == 15 else 'new'}" in out
    assert len(server.releases) == 1
    holds(server, "v0.1.0", made / "v0.1.0")


# --- promote


def test_promote__moves_the_champion_and_says_which_it_was(released, registry, made):
    publish(released, made / "v0.2.0")
    assert registry.promote("v0.2.0") == "v0.1.0"
    assert registry.current() == "v0.2.0"
    assert registry.promote("v0.1.0") == "v0.2.0"
    assert registry.current() == "v0.1.0"


def test_promote__the_first_one_and_the_same_again_replace_nothing(server, registry, made):
    publish(server, made / "v0.1.0")
    assert registry.promote("v0.1.0") is None
    assert registry.promote("v0.1.0") is None


def test_promote__what_is_the_latest_for_want_of_another_stays_it_when_a_newer_one_comes(server, registry, made):
    server.newest_is_latest = True
    publish(server, made / "v0.1.0")
    assert registry.promote("v0.1.0") is None
    registry.register(made / "v0.2.0")
    assert registry.current() == "v0.1.0"
    assert registry.promote("v0.2.0") == "v0.1.0"


def test_promote__a_release_that_is_no_version_is_no_way_back(server, registry, made):
    server.add("nightly", latest=True)
    publish(server, made / "v0.1.0")
    assert registry.promote("v0.1.0") is None
    assert registry.current() == "v0.1.0"


def test_promote__what_was_never_released_is_refused_and_the_known_are_named(released, registry, made):
    publish(released, made / "v0.2.0", draft=True)
    for version in ("v0.2.0", "v9.9.9"):
        with pytest.raises(Refused, match=rf"{version} was never released \(the newest: v0\.1\.0\): name one that was"):
            registry.promote(version)
    assert registry.current() == "v0.1.0"


def test_promote__a_draft_is_refused_also_where_it_is_found_by_its_tag(released, registry, made):
    released.finds_drafts_by_tag = True
    publish(released, made / "v0.2.0", draft=True)
    with pytest.raises(Refused, match=r"v0\.2\.0 was never released"):
        registry.promote("v0.2.0")


def test_promote__a_pre_release_is_refused(released, registry, made):
    publish(released, made / "v0.2.0")["prerelease"] = True
    with pytest.raises(Refused, match=r"v0\.2\.0 is marked as a pre-release, so it is not for production"):
        registry.promote("v0.2.0")


def test_promote__is_not_believed_before_it_is_read_back(released, registry, made):
    publish(released, made / "v0.2.0")
    number = released.latest

    def keep(method, path):
        released.latest = number

    released.on_request = keep
    with pytest.raises(CannotTell, match=r"GitHub still names 'v0\.1\.0' as the latest release, not v0\.2\.0: promote"):
        registry.promote("v0.2.0")


# --- restore


def test_restore__goes_back_and_withdraws_what_failed(released, registry, made):
    publish(released, made / "v0.2.0")
    previous = registry.promote("v0.2.0")
    for _ in range(2):  # a killed one is called again
        registry.restore(previous, "v0.2.0")
        assert registry.current() == "v0.1.0"
        assert released.release("v0.2.0")["prerelease"]
        assert released.release("v0.2.0")["body"].startswith(
            "> **Withdrawn: it failed its smoke test.** Do not use it."
        )
        assert released.release("v0.2.0")["body"].count("Withdrawn") == 1
    with pytest.raises(Refused, match=r"v0\.2\.0 is marked as a pre-release"):
        registry.promote("v0.2.0")


def test_restore__of_the_first_release_leaves_none(server, registry, made):
    publish(server, made / "v0.1.0")
    previous = registry.promote("v0.1.0")
    for _ in range(2):
        assert registry.restore(previous, "v0.1.0") is None
        assert registry.current() is None
        assert server.release("v0.1.0")["prerelease"]


@pytest.mark.parametrize("previous", ["v0.1.0", None])
def test_restore__leaves_what_somebody_promoted_meanwhile(released, registry, made, previous):
    publish(released, made / "v0.2.0")
    publish(released, made / "v0.2.0")["tag_name"] = "v0.3.0"
    registry.promote("v0.3.0")
    assert registry.restore(previous, "v0.2.0") == "v0.3.0"
    assert registry.current() == "v0.3.0"
    assert released.release("v0.2.0")["prerelease"]
    assert not released.release("v0.1.0")["prerelease"]


def test_restore__finds_its_way_back_when_nothing_is_the_champion(released, registry, made):
    publish(released, made / "v0.2.0")
    released.latest = None
    assert registry.restore("v0.1.0", "v0.2.0") == "v0.1.0"
    assert registry.current() == "v0.1.0"


def test_restore__without_a_way_back_a_person_has_to_say(released, registry, made):
    publish(released, made / "v0.2.0", latest=True)
    previous = registry.promote("v0.2.0")
    released.log.clear()
    with pytest.raises(
        CannotTell, match=r"v0\.2\.0 replaced no version, so there is no way back \(there are v0\.1\.0\)"
    ):
        registry.restore(previous, "v0.2.0")
    assert {method for method, _ in released.log} == {"GET"}


def test_restore__to_or_from_what_was_never_released_is_refused(released, registry):
    with pytest.raises(Refused, match=r"v0\.0\.9 was never released \(the newest: v0\.1\.0\)"):
        registry.restore("v0.0.9", "v0.1.0")
    assert not released.release("v0.1.0")["prerelease"]
    with pytest.raises(Refused, match=r"v9\.9\.9 was never released: name the version that failed"):
        registry.restore("v0.1.0", "v9.9.9")


@pytest.mark.parametrize("previous", ["v0.1.0", None])
def test_restore__is_not_believed_before_it_is_read_back(server, registry, made, previous):
    publish(server, made / "v0.2.0", latest=True)
    if previous:
        publish(server, made / "v0.1.0")
    failed = server.latest
    server.on_request = lambda *_: setattr(server, "latest", failed)
    with pytest.raises(
        CannotTell, match=rf"GitHub still names 'v0\.2\.0' as the latest release, not {previous or 'none'}"
    ):
        registry.restore(previous, "v0.2.0")


# --- fetch


def fetched(folder):
    return {path.name for path in folder.iterdir()}


def test_fetch__leaves_the_verified_bundle_and_its_evidence(released, registry, made, tmp_path):
    release = registry.fetch("v0.1.0", tmp_path / "champion")
    assert fetched(tmp_path / "champion") == set(WORDS)
    assert fetched(tmp_path) == {"champion"}
    verify(tmp_path / "champion" / "bundle", release.bundle_digest)
    champion = find_champion(str(tmp_path / "champion"))
    assert (champion.name, champion.digest) == ("v0.1.0", digest(made / "build" / "model"))


def test_fetch__again_replaces_what_the_fetch_before_left(released, registry, made, tmp_path):
    publish(released, made / "v0.2.0")
    registry.fetch("v0.1.0", tmp_path / "champion")
    assert registry.fetch("v0.2.0", tmp_path / "champion").version == "v0.2.0"
    assert find_champion(str(tmp_path / "champion")).name == "v0.2.0"


@pytest.mark.parametrize("there", ["notes.txt", "release.json"])
def test_fetch__does_not_remove_what_it_did_not_make(released, registry, tmp_path, there):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / there).write_text("mine")
    with pytest.raises(CannotTell, match="mine holds something that no fetch left there: name a folder of its own"):
        registry.fetch("v0.1.0", tmp_path / "mine")
    assert (tmp_path / "mine" / there).read_text() == "mine"


def nothing_left(registry, said, to, version="v0.1.0", error=Refused):
    to.mkdir()
    (to / "bundle").mkdir()
    (to / "release.json").write_text("of an earlier fetch")
    with pytest.raises(error, match=said):
        registry.fetch(version, to)
    assert not to.exists()
    assert fetched(to.parent) == set()


def spoil(server, name, content):
    server.put(server.release("v0.1.0"), name, content)


def test_fetch__a_changed_asset_is_refused(released, registry, tmp_path):
    number = released.asset("v0.1.0", "metrics.json")["id"]
    released.contents[number] = released.contents[number].replace(b"candidate", b"Candidate")
    nothing_left(registry, r"metrics\.json is not the file that SHA256SUMS lists", tmp_path / "to")


def test_fetch__a_bundle_that_was_cut_short_is_refused(released, registry, tmp_path):
    name = next(a["name"] for a in released.release("v0.1.0")["assets"] if a["name"].endswith(".tar"))
    number = released.asset("v0.1.0", name)["id"]
    released.contents[number] = released.contents[number][:-512]
    nothing_left(registry, rf"{name} is not the file that SHA256SUMS lists", tmp_path / "to")


def test_fetch__a_missing_and_an_extra_asset_are_refused_before_the_others_are_fetched(released, registry, tmp_path):
    release = released.release("v0.1.0")
    gone = released.asset("v0.1.0", "scan.json")
    release["assets"].remove(gone)
    nothing_left(registry, r"^scan\.json is missing: this release was altered", tmp_path / "to")
    release["assets"].append(gone)
    spoil(released, "extra.json", b"{}")
    released.log.clear()
    nothing_left(registry, r"^extra\.json is not listed in SHA256SUMS", tmp_path / "to")
    assert len([path for _, path in released.log if path.startswith("releases/assets/")]) == 1


def test_fetch__a_release_of_something_else_is_refused(server, registry, tmp_path):
    server.put(server.add("v0.1.0", latest=True), "app.zip", b"PK")
    nothing_left(registry, r"the release v0\.1\.0 has no SHA256SUMS: it is not one of textgate's", tmp_path / "to")


@pytest.mark.parametrize("name", ["../../evil", "a b", "-rf", "x" * 101])
def test_fetch__an_odd_asset_name_is_refused(released, registry, tmp_path, name):
    spoil(released, name, b"{}")
    nothing_left(registry, r"v0\.1\.0 has odd or double files", tmp_path / "to")


def test_fetch__two_assets_of_one_name_are_refused(released, registry, tmp_path):
    release = released.release("v0.1.0")
    release["assets"].append(released.asset("v0.1.0", "gate.json") | {"id": 99_999})
    nothing_left(registry, r"v0\.1\.0 has odd or double files", tmp_path / "to")


def test_fetch__too_many_assets_are_not_looked_through(released, registry, tmp_path):
    for number in range(40):
        spoil(released, f"f{number}", b"{}")
    nothing_left(registry, "GitHub lists more than 40", tmp_path / "to", error=CannotTell)


def test_fetch__an_asset_that_never_arrived_is_refused(released, registry, tmp_path):
    released.asset("v0.1.0", "gate.json")["state"] = "starter"
    nothing_left(registry, r"gate\.json of v0\.1\.0 is not whole \('starter'\)", tmp_path / "to")


def test_fetch__an_asset_beyond_its_limit_is_not_fetched(released, registry, tmp_path):
    released.asset("v0.1.0", "gate.json")["size"] = 20_000_001
    nothing_left(registry, r"gate\.json of v0\.1\.0 has 20,000,001 bytes, 20,000,000 are the most", tmp_path / "to")


def test_fetch__an_asset_that_is_larger_than_it_says_is_cut_off(released, registry, tmp_path):
    number = released.asset("v0.1.0", SUMS)["id"]
    released.contents[number] = bytes(20_000_001)
    nothing_left(registry, "more than 20,000,000 bytes: not taken", tmp_path / "to")


def test_fetch__a_whole_release_under_another_version_is_refused(server, registry, made, tmp_path):
    publish(server, made / "v0.2.0", latest=True)["tag_name"] = "v0.1.0"
    nothing_left(registry, r"the release v0\.1\.0 holds v0\.2\.0: it was altered", tmp_path / "to")


def test_fetch__evidence_that_was_altered_together_with_its_list_is_refused(server, registry, made, tmp_path):
    folder = shutil.copytree(made / "v0.1.0", tmp_path / "altered" / "v0.1.0")
    altered(folder, "gate.json", outcome="refused")
    publish(server, folder)
    shutil.rmtree(tmp_path / "altered")
    nothing_left(registry, r"gate\.json says refused, not passed", tmp_path / "to")


def test_fetch__another_bundle_together_with_its_list_is_refused(server, registry, made, tmp_path):
    folder = shutil.copytree(made / "v0.1.0", tmp_path / "altered" / "v0.1.0")
    (other,) = (made / "v0.2.0").glob("model-*.tar")
    (ours,) = folder.glob("model-*.tar")
    shutil.copyfile(other, ours)
    relist(folder)
    publish(server, folder)
    shutil.rmtree(tmp_path / "altered")
    nothing_left(registry, "does not hold the bundle that it is named after", tmp_path / "to")


def test_fetch__a_tag_that_was_moved_or_deleted_is_refused(released, registry, tmp_path):
    released.tags["v0.1.0"] = ("commit", "d" * 40)
    nothing_left(registry, r"the tag v0\.1\.0 is on commit dddddddddddd, but cccccccccccc was judged", tmp_path / "to")
    del released.tags["v0.1.0"]
    nothing_left(registry, r"the tag v0\.1\.0 is missing, but cccccccccccc was judged", tmp_path / "to")


def test_fetch__a_release_that_is_changed_meanwhile_is_refused(released, registry, tmp_path):
    def replace(method, path):
        if path.startswith("git/ref"):
            spoil(released, "gate.json", b"{}")

    released.on_request = replace
    nothing_left(registry, r"v0\.1\.0 was changed while it was fetched: see who did, then fetch again", tmp_path / "to")


@pytest.mark.parametrize(
    ("status", "said"), [(500, "in trouble"), (404, "not found"), (401, "does not take the token")]
)
def test_fetch__an_asset_that_cannot_be_had_is_unknown(released, registry, tmp_path, status, said):
    released.status[f"releases/{released.release('v0.1.0')['id']}/assets"] = status
    nothing_left(registry, said, tmp_path / "to", error=CannotTell)


def test_fetch__a_draft_an_unknown_version_and_a_pre_release_are_refused(released, registry, made, tmp_path):
    publish(released, made / "v0.2.0", draft=True)
    nothing_left(registry, r"v0\.2\.0 was never released \(the newest: v0\.1\.0\)", tmp_path / "to", "v0.2.0")
    released.release("v0.1.0")["prerelease"] = True
    nothing_left(registry, r"v0\.1\.0 is marked as a pre-release", tmp_path / "to")


# --- what release.py decides


def test_release_from__takes_the_next_free_version(released, registry, made, tmp_path):
    released.tags["v0.1.4"] = ("commit", "d" * 40)
    found = release_from(made / "build2", tmp_path / "out", registry, "0.1", NEXT)
    assert (found.version, found.state, found.digest) == ("v0.1.5", "new", digest(made / "build2" / "model"))
    assert json.loads((tmp_path / "out" / "release.json").read_text())["version"] == "v0.1.5"


def test_release_from__a_bundle_that_is_released_is_not_released_again(released, registry, made, tmp_path):
    found = release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT)
    assert (found.version, found.state) == ("v0.1.0", "already-released")
    assert found.sentence.endswith("is already released as v0.1.0")
    assert not (tmp_path / "out").exists()


def test_release_from__a_bundle_published_by_a_killed_run_waits_for_its_promotion(released, registry, made, tmp_path):
    publish(released, made / "v0.2.0")
    found = release_from(made / "build2", tmp_path / "out", registry, "0.1", NEXT)
    assert (found.version, found.state) == ("v0.2.0", "unfinished")
    assert found.sentence.endswith("is already released as v0.2.0, which is not the champion yet")
    released.latest = None
    assert release_from(made / "build2", tmp_path / "out", registry, "0.1", "v0.2.0").state == "unfinished"


def test_release_from__another_commit_or_an_older_version_moves_no_champion(released, registry, made, tmp_path):
    publish(released, made / "v0.2.0")
    released.tags["v0.2.0"] = ("commit", "d" * 40)
    assert release_from(made / "build2", tmp_path / "out", registry, "0.1", NEXT).state == "already-released"
    released.latest = released.release("v0.2.0")["id"]
    assert release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT).state == "already-released"
    released.release("v0.2.0")["tag_name"] = "nightly"
    assert release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT).state == "already-released"


def test_release_from__a_draft_is_no_release(server, registry, made, tmp_path):
    publish(server, made / "v0.1.0", draft=True)
    assert release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT).state == "new"


def test_release_from__a_persons_tag_gives_a_released_bundle_one_more_name(released, registry, made, tmp_path):
    released.tags["v1.0.0"] = ("commit", COMMIT)
    found = release_from(made / "build", tmp_path / "out", registry, "0.1", "v1.0.0")
    assert (found.version, found.state) == ("v1.0.0", "new")
    again = release_from(made / "build", tmp_path / "out2", registry, "0.1", "v0.1.0")
    assert (again.version, again.state) == ("v0.1.0", "already-released")


def test_release_from__a_tag_on_another_commit_or_without_a_version_is_refused(server, registry, made, tmp_path):
    server.tags["v1.0.0"] = ("commit", "d" * 40)
    with pytest.raises(Refused, match=r"the tag v1\.0\.0 is on commit dddddddddddd, but cccccccccccc was judged"):
        release_from(made / "build", tmp_path / "out", registry, "0.1", "v1.0.0")
    with pytest.raises(Refused, match=r"'v1' is not a version|'v1\.0' is not a version"):
        release_from(made / "build", tmp_path / "out", registry, "0.1", "v1.0")


def test_release_from__more_tags_than_a_page_holds(server, registry, made, tmp_path):
    for number in range(230):
        server.tags[f"v0.1.{number}"] = ("commit", "d" * 40)
    assert release_from(made / "build", tmp_path / "out", registry, "0.1", NEXT).version == "v0.1.230"


# --- the scripts, as a workflow calls them


def test_scripts__release_register_promote_fetch_and_release_again(server, made, tmp_path):
    out = tmp_path / "out"
    code, said, err = finished(
        run_script("registry", "fetch", "--to", tmp_path / "champion", GITHUB_OUTPUT=str(tmp_path / "none"))
    )
    assert (code, err) == (0, "")
    assert "there is no production model yet: no version was ever promoted" in said
    assert outputs(tmp_path / "none") == {"champion": "none", "version": ""}
    options = ("--from", made / "build", "--to", out)
    code, said, err = finished(run_script("release", *options, GITHUB_OUTPUT=str(tmp_path / "release")))
    assert (code, err) == (0, "")
    model = digest(made / "build" / "model")
    assert outputs(tmp_path / "release") == {"version": "v0.1.0", "digest": model, "state": "new"}
    assert finished(run_script("registry", "register", out, GITHUB_OUTPUT=str(tmp_path / "register")))[0] == 0
    assert outputs(tmp_path / "register") == {"version": "v0.1.0", "state": "new"}
    code, _, err = finished(run_script("registry", "fetch", "--to", tmp_path / "champion"))
    assert (code, err) == (2, "cannot tell: 'v0.1.0' is released, but no release is the latest: promote one\n")
    assert finished(run_script("registry", "promote", "0.1.0", GITHUB_OUTPUT=str(tmp_path / "promote")))[0] == 0
    assert outputs(tmp_path / "promote") == {"previous": "", "moving": "true"}
    code, said, _ = finished(
        run_script("registry", "fetch", "--to", tmp_path / "champion", GITHUB_OUTPUT=str(tmp_path / "fetch"))
    )
    assert code == 0
    assert outputs(tmp_path / "fetch") == {"champion": str(tmp_path / "champion"), "version": "v0.1.0"}
    assert "v0.1.0" in finished(run_script("registry", "current"))[1]
    code, said, _ = finished(run_script("release", *options, "--tag", "next", GITHUB_OUTPUT=str(tmp_path / "again")))
    assert (code, outputs(tmp_path / "again")) == (
        0,
        {"version": "v0.1.0", "digest": model, "state": "already-released"},
    )
    assert len(server.releases) == 1
    code, _, err = finished(run_script("release", *options, "--tag", ""))
    assert (code, err) == (
        1,
        "refused: '' is not a version: name it like v1.2.3, three numbers without leading zeros\n",
    )


def test_scripts__restore_says_what_it_left(released, made):
    publish(released, made / "v0.2.0")
    failed = "failed its smoke test and is a pre-release now"
    for champion, words in (
        ("v0.2.0", "v0.1.0 is the champion again"),
        ("nightly", "nightly was promoted meanwhile and stays the champion"),
    ):
        released.latest = released.release(champion)["id"] if champion != "nightly" else released.add("nightly")["id"]
        process = run_script("registry", "restore", "v0.1.0", "--failed", "v0.2.0")
        assert finished(process)[:2] == (0, f"v0.2.0 {failed}; {words}\n")
    released.releases = [release for release in released.releases if release["tag_name"] == "v0.1.0"]
    released.latest = released.release("v0.1.0")["id"]
    process = run_script("registry", "restore", "", "--failed", "v0.1.0")
    assert finished(process)[:2] == (0, f"v0.1.0 {failed}; there is no champion now\n")


def test_scripts__a_failed_fetch_is_unknown_and_says_no_champion(released, tmp_path):
    assert finished(run_script("registry", "fetch", "--to", tmp_path / "champion"))[0] == 0
    released.status["releases/latest"] = 401
    process = run_script("registry", "fetch", "--to", tmp_path / "champion", GITHUB_OUTPUT=str(tmp_path / "fetch"))
    code, _, err = finished(process)
    assert code == 2
    assert err.startswith("cannot tell: GET repos/team/model/releases/latest: GitHub does not take the token (401)")
    assert err.count("\n") == 1
    assert not (tmp_path / "fetch").exists()
    assert not (tmp_path / "champion").exists(), "what an earlier fetch left must not pass for this one's result"


def test_scripts__the_registry_needs_neither_numpy_nor_a_model_library():
    code = "import sys, textgate.registry.commands; print({'numpy', 'torch', 'onnx', 'sklearn'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
