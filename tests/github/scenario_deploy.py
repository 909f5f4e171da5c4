"""Tags that people push, ways back and broken deployments, by the real workflows: which release serves in the end."""

import pytest
from tests.github import events
from tests.github.hub import LocalGitHub
from tests.github.project import Project
from tests.github.runner import Run

ASSETS = 13  # of a release
REGISTER, PROMOTE = ("deploy/publish", "register"), ("deploy/publish", "promote")


@pytest.fixture(scope="module")
def judged(hub: LocalGitHub, project: Project) -> str:
    """Return a commit of main that is judged, and released as v0.1.0."""
    run = events.push(hub, "0" * 40)
    assert run.conclusion == "success", run.text
    return run.api["head_sha"]


@pytest.fixture
def released(hub: LocalGitHub, judged: str):
    """Return that commit, where v0.1.0 is the only release; afterwards, it is so again."""
    kept = [release | {"assets": list(release["assets"])} for release in hub.releases]
    assert [(release["tag_name"], release["latest"]) for release in kept] == [("v0.1.0", True)]
    content = {asset["id"]: hub.asset_file(asset["id"]).read_bytes() for asset in kept[0]["assets"]}
    yield judged
    hub.releases = kept
    for number, original in content.items():
        hub.asset_file(number).write_bytes(original)
    for tag in set(hub.git.refs("refs/tags/")) - {"refs/tags/v0.1.0"}:
        hub.git.git("update-ref", "-d", tag)


def shown(hub: LocalGitHub) -> dict[str, str]:
    """Return what each release is, by tag."""
    states = {}
    for release in hub.releases:
        state = "draft" if release["draft"] else "pre-release" if release["prerelease"] else "released"
        states[release["tag_name"]] = f"{state}, {len(release['assets'])} assets"
    assert len(states) == len(hub.releases)
    return states


def champion(hub: LocalGitHub) -> str | None:
    """Return the tag of the latest release."""
    status, release = hub.call("GET", "releases/latest")
    return release["tag_name"] if status == 200 else None


def tagged(hub: LocalGitHub, tag: str, commit: str, **more: object) -> Run:
    """Push a tag and run release.yml for it."""
    hub.tag(tag, commit)
    return events.push_tag(hub, tag, **more)


def copied(hub: LocalGitHub, tag: str) -> None:
    """Make one more release with the files of v0.1.0, as somebody could by hand."""
    other = hub.releases[0] | {"id": hub.next_id(), "tag_name": tag, "latest": False}
    other["assets"] = [asset | {"id": hub.next_id()} for asset in other["assets"]]
    for mine, its in zip(hub.releases[0]["assets"], other["assets"], strict=True):
        hub.asset_file(its["id"]).write_bytes(hub.asset_file(mine["id"]).read_bytes())
    hub.releases.append(other)


WHOLE = f"released, {ASSETS} assets"


def test_tag__on_a_judged_commit_deploys_the_same_bytes_under_that_version(hub: LocalGitHub, released: str) -> None:
    run = tagged(hub, "v1.0.0", released)
    assert run.conclusion == "success", run.text
    assert shown(hub) == {"v0.1.0": WHOLE, "v1.0.0": WHOLE}
    assert champion(hub) == "v1.0.0"
    models = [
        {(asset["name"], asset["digest"]) for asset in release["assets"] if asset["name"].startswith("model-")}
        for release in hub.releases
    ]
    assert models[0] == models[1]
    assert hub.git.sha("refs/tags/v1.0.0") == released


def test_tag__on_a_commit_that_was_never_judged_is_refused(hub: LocalGitHub, project: Project, released: str) -> None:
    project.branch("unjudged")
    project.write("notes.txt", "words\n")
    run = tagged(hub, "v2.0.0", project.push("unjudged"))
    assert run.conclusion == "failure"
    assert f"refused: commit {hub.git.sha('refs/tags/v2.0.0')[:12]} was never judged" in run.said("find")
    assert run.jobs["deploy/prepare"].conclusion == "skipped"
    assert shown(hub) == {"v0.1.0": WHOLE}


def test_tag__that_is_no_version_is_refused(hub: LocalGitHub, released: str) -> None:
    run = tagged(hub, "v1", released)
    assert run.conclusion == "failure"
    assert "refused: the tag 'v1' is not a version: name it like v1.2.3" in run.said("find")
    assert shown(hub) == {"v0.1.0": WHOLE}


def test_smoke__that_fails_brings_the_version_before_back(hub: LocalGitHub, released: str) -> None:
    run = tagged(hub, "v1.1.0", released, at_step=("deploy/smoke", "0"), then=lambda: hub.corrupt("gate.json"))
    assert run.conclusion == "failure"
    assert "gate.json is not the file that SHA256SUMS lists" in run.said("deploy/smoke")
    assert (run.jobs["deploy/publish"].conclusion, run.jobs["deploy/restore"].conclusion) == ("success", "success")
    assert champion(hub) == "v0.1.0"
    assert shown(hub) == {"v0.1.0": WHOLE, "v1.1.0": f"pre-release, {ASSETS} assets"}
    assert hub.releases[-1]["body"].startswith(
        "> **Withdrawn: it failed its smoke test.** Do not use it.\n\n### textgate"
    )
    assert "v1.1.0 failed its smoke test and is a pre-release now; v0.1.0 is the champion again" in run.said(
        "deploy/restore"
    )


def test_smoke__that_fails_for_the_first_release_ever_leaves_none(hub: LocalGitHub, released: str) -> None:
    hub.releases = []
    run = tagged(hub, "v1.1.0", released, at_step=("deploy/smoke", "0"), then=lambda: hub.corrupt("gate.json"))
    assert run.conclusion == "failure"
    assert champion(hub) is None
    assert shown(hub) == {"v1.1.0": f"pre-release, {ASSETS} assets"}
    assert "there is no champion now" in run.said("deploy/restore")


def test_smoke__that_fails_leaves_what_a_person_promoted_meanwhile(hub: LocalGitHub, released: str) -> None:
    def interfere() -> None:
        made = hub.api("POST", "releases", {"tag_name": "v9.0.0", "target_commitish": released})
        assert champion(hub) == made["tag_name"]

    run = tagged(hub, "v1.1.0", released, at_step=("deploy/smoke", "0"), then=interfere)
    assert run.conclusion == "failure"
    assert "the release v9.0.0 has no SHA256SUMS" in run.said("deploy/smoke")
    assert "v9.0.0 was promoted meanwhile and stays the champion" in run.said("deploy/restore")
    assert champion(hub) == "v9.0.0"


def test_rollback__by_hand_makes_the_older_version_the_latest(hub: LocalGitHub, released: str) -> None:
    copied(hub, "v1.0.0")
    hub.api("PATCH", f"releases/{hub.releases[-1]['id']}", {"make_latest": "true"})
    assert champion(hub) == "v1.0.0"
    run = events.dispatch(hub, "deploy.yml", {"version": "0.1.0"})
    assert run.conclusion == "success", run.text
    assert champion(hub) == "v0.1.0"
    assert shown(hub) == {"v0.1.0": WHOLE, "v1.0.0": WHOLE}
    assert run.jobs["publish"].outputs["promote"]["previous"] == "v1.0.0"
    assert "v0.1.0 answers" in run.said("smoke")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("9.9.9", "refused: v9.9.9 was never released (the newest: v1.0.0, v0.1.0)"),
        ("v1.0.0", "metrics.json is not the file that SHA256SUMS lists"),
        ("$(id)", "refused: '$(id)' is not a version"),
    ],
)
def test_rollback__to_what_is_unknown_or_altered_moves_nothing(
    hub: LocalGitHub, released: str, version: str, said: str
) -> None:
    copied(hub, "v1.0.0")
    hub.corrupt("metrics.json")
    run = events.dispatch(hub, "deploy.yml", {"version": version})
    assert run.conclusion == "failure"
    assert said in run.said("prepare")
    assert {run.jobs[name].conclusion for name in ("publish", "smoke", "restore")} == {"skipped"}
    assert champion(hub) == "v0.1.0"
    assert not hub.releases[-1]["prerelease"]


def test_publish__killed_between_two_uploads_is_finished_by_the_next_run(hub: LocalGitHub, released: str) -> None:
    killed = tagged(hub, "v1.2.0", released, at_step=REGISTER, then=hub.hold("POST", r"/releases/\d+/assets$", after=4))
    assert killed.conclusion == "cancelled"
    assert shown(hub) == {"v0.1.0": WHOLE, "v1.2.0": "draft, 4 assets"}
    assert champion(hub) == "v0.1.0"
    again = events.push_tag(hub, "v1.2.0")
    assert again.conclusion == "success", again.text
    assert shown(hub) == {"v0.1.0": WHOLE, "v1.2.0": WHOLE}
    assert champion(hub) == "v1.2.0"


def test_publish__killed_before_the_promotion_is_finished_by_the_next_run(hub: LocalGitHub, released: str) -> None:
    assert tagged(hub, "v1.3.0", released, at_step=PROMOTE).conclusion == "cancelled"
    assert shown(hub) == {"v0.1.0": WHOLE, "v1.3.0": WHOLE}
    assert champion(hub) == "v0.1.0"
    again = events.push_tag(hub, "v1.3.0")
    assert again.conclusion == "success", again.text
    assert "already released as v1.3.0, which is not the champion yet" in again.said("deploy/prepare")
    assert champion(hub) == "v1.3.0"
    assert shown(hub) == {"v0.1.0": WHOLE, "v1.3.0": WHOLE}
    assert "v1.3.0 answers" in again.said("deploy/smoke")


def half_promoted(hub: LocalGitHub, then) -> None:
    """Let GitHub answer no more, when "latest" has moved and the promotion looks whether it did."""
    hub.fail("GET", r"/releases/latest$", 500, times=3, after=2)
    then()


def test_publish__that_dies_when_latest_has_moved_is_asked_and_stays_if_it_answers(
    hub: LocalGitHub, released: str
) -> None:
    run = tagged(hub, "v1.4.0", released, at_step=PROMOTE, then=lambda: half_promoted(hub, lambda: None))
    assert run.conclusion == "failure"
    assert "releases/latest" in run.said("deploy/publish")
    assert run.jobs["deploy/publish"].outputs["promote"] == {"previous": "v0.1.0", "moving": "true"}
    results = {name: run.jobs[f"deploy/{name}"].conclusion for name in ("publish", "smoke", "restore")}
    assert results == {"publish": "failure", "smoke": "success", "restore": "skipped"}
    assert champion(hub) == "v1.4.0"


def test_publish__that_dies_when_latest_has_moved_is_taken_back_if_it_does_not_answer(
    hub: LocalGitHub, released: str
) -> None:
    broken = lambda: half_promoted(hub, lambda: hub.corrupt("gate.json"))  # noqa: E731
    run = tagged(hub, "v1.5.0", released, at_step=PROMOTE, then=broken)
    assert run.conclusion == "failure"
    results = {name: run.jobs[f"deploy/{name}"].conclusion for name in ("publish", "smoke", "restore")}
    assert results == {"publish": "failure", "smoke": "failure", "restore": "success"}
    assert champion(hub) == "v0.1.0"
    assert shown(hub) == {"v0.1.0": WHOLE, "v1.5.0": f"pre-release, {ASSETS} assets"}


def test_publish__that_fails_before_latest_moves_withdraws_nothing(hub: LocalGitHub, released: str) -> None:
    lost = lambda: hub.fail("POST", r"/releases/\d+/assets$", 500, times=3)  # noqa: E731
    run = tagged(hub, "v1.6.0", released, at_step=REGISTER, then=lost)
    results = {name: run.jobs[f"deploy/{name}"].conclusion for name in ("publish", "smoke", "restore")}
    assert results == {"publish": "failure", "smoke": "skipped", "restore": "skipped"}
    assert champion(hub) == "v0.1.0"
