"""GitHub releases as a registry, over HTTPS with the real gh: whole or not at all, verified, and safe to repeat."""

import os
import shutil
import signal

import pytest
from tests.github_releases import holds, publish
from tests.judged_example import COMMIT, OTHER
from tests.run_script import finished, run_script

from textgate.errors import CannotTell, Refused
from textgate.release.release import build

pytest_plugins = ("tests.github_registry_fixtures",)


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
    assert server.reached.wait(600)
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


def test_promote__is_said_to_begin_before_anything_changes_and_not_if_it_is_refused(released, registry, made):
    said = []
    publish(released, made / "v0.2.0")
    registry.promote("v0.2.0", moving=lambda: said.append(registry.current()))
    assert said == ["v0.1.0"]
    released.release("v0.1.0")["prerelease"] = True
    for version in ("v0.1.0", "v9.9.9"):
        with pytest.raises(Refused):
            registry.promote(version, moving=lambda: said.append("again"))
    assert said == ["v0.1.0"]


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
