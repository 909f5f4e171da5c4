"""A tag is deployed only if a run on the default branch judged its commit and still keeps the bundle."""

import pytest
from tests.judged_example import COMMIT
from tests.release_server import REPO
from tests.run_script import finished, outputs, run_script

from textgate.errors import CannotTell, Refused
from textgate.github.api import GitHub
from textgate.release.judged_run import judged_run

pytest_plugins = ("tests.github_registry_fixtures",)

RUN = {"id": 7, "head_sha": COMMIT, "head_branch": "main", "event": "push", "conclusion": "success",
       "path": ".github/workflows/ci.yml"}  # fmt: skip
JUDGED = {"name": "judged", "expired": False}
NEVER = "commit cccccccccccc was never judged: "


@pytest.fixture
def github(server):
    server.tags["v1.0.0"] = ("commit", COMMIT)
    return GitHub(REPO)


def test_judged_run__is_the_newest_one_that_kept_the_bundle(server, github):
    server.runs = [RUN | {"id": number} for number in (9, 7, 8)]
    server.artifacts = {7: [JUDGED], 8: [{"name": "report", "expired": False}, JUDGED], 9: [JUDGED | {"expired": True}]}
    assert judged_run(github, "v1.0.0") == (8, COMMIT)


def test_judged_run__an_annotated_tag_is_followed_to_its_commit(server, github):
    server.tags["v1.0.0"] = ("tag", "a" * 40)
    server.tag_objects["a" * 40] = ("commit", COMMIT)
    server.runs, server.artifacts = [RUN], {7: [JUDGED]}
    assert judged_run(github, "v1.0.0") == (7, COMMIT)


def test_judged_run__is_found_behind_a_full_page(server, github):
    server.runs = [RUN | {"id": 100 + number, "head_branch": "v1.0.0"} for number in range(150)] + [RUN]
    server.artifacts = {7: [{"name": f"other{number}", "expired": False} for number in range(120)] + [JUDGED]}
    assert judged_run(github, "v1.0.0") == (7, COMMIT)


@pytest.mark.parametrize(
    "difference",
    [
        {"head_sha": "d" * 40},
        {"head_branch": "feature"},
        {"head_branch": "v1.0.0"},
        {"event": "pull_request"},
        {"conclusion": "failure"},
        {"path": ".github/workflows/other.yml"},
    ],
)
def test_judged_run__another_commit_branch_event_outcome_or_workflow_does_not_count(server, github, difference):
    server.runs, server.artifacts = [RUN | difference], {7: [JUDGED]}
    with pytest.raises(Refused) as caught:
        judged_run(github, "v1.0.0")
    assert str(caught.value) == (
        f"{NEVER}no run of .github/workflows/ci.yml for it on main succeeded: merge it, wait for its run, then tag it"
    )


@pytest.mark.parametrize(
    "artifacts", [[], [JUDGED | {"expired": True}], [JUDGED | {"name": "judged2"}], [{"name": "judged"}]]
)
def test_judged_run__a_run_without_its_bundle_is_refused(server, github, artifacts):
    server.runs, server.artifacts = [RUN], {7: artifacts}
    with pytest.raises(
        Refused, match=rf'{NEVER}its run kept no artifact "judged" \(nothing that makes a model changed'
    ):
        judged_run(github, "v1.0.0")


@pytest.mark.parametrize("tag", ["1.0.0", "v1.0", "v1.0.0-rc1", "nightly", "v1.0.0/../../x", ""])
def test_judged_run__a_tag_that_is_no_version_asks_nothing(server, github, tag):
    with pytest.raises(Refused, match=r"is not a version: name it like v1\.2\.3, or delete it"):
        judged_run(github, tag)
    assert server.log == []


def test_judged_run__a_tag_that_is_not_there_is_refused(github):
    with pytest.raises(Refused, match=r"there is no tag v2\.0\.0 on GitHub: push it first"):
        judged_run(github, "v2.0.0")


def test_judged_run__an_api_in_trouble_is_unknown_and_not_never_judged(server, github):
    server.status["actions/workflows/ci.yml/runs"] = 403
    with pytest.raises(CannotTell, match=r"the token has no right to do this \(403\)"):
        judged_run(github, "v1.0.0")


def test_script__gives_run_and_commit_to_the_workflow(server, github, tmp_path):
    server.runs, server.artifacts = [RUN], {7: [JUDGED]}
    code, _, err = finished(run_script("judged_run", GITHUB_REF_NAME="v1.0.0", GITHUB_OUTPUT=str(tmp_path / "out")))
    assert (code, err) == (0, "")
    assert outputs(tmp_path / "out") == {"run_id": "7", "commit": COMMIT}
    code, _, err = finished(run_script("judged_run", "--tag", "nightly"))
    assert (code, err.startswith("refused: the tag 'nightly' is not a version")) == (1, True)
