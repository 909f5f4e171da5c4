"""From a finished run to its pull request: what GitHub says counts, whatever the event says."""

import pytest
from tests.github_api import REPO, SHA, json_reply

from textgate.errors import CannotTell
from textgate.github.api import GitHub
from textgate.github.pull_request import Nothing, Run, find_pull_request, find_run

pytest_plugins = ("tests.github_fixtures",)
GITHUB = GitHub(REPO)
OTHER = "f" * 40
HOME = {"id": 7, "owner": {"login": "octo"}, "name": "gate"}
FORK = {"id": 8, "owner": {"login": "stranger"}, "name": "gate"}


def run_answer(**more):
    described = {
        "id": 5, "run_attempt": 1, "path": ".github/workflows/ci.yml", "event": "pull_request", "status": "completed",
        "conclusion": "success", "head_sha": SHA, "head_branch": "mend", "repository": HOME, "head_repository": HOME,
        "html_url": "https://example.invalid/", "pull_requests": [{"number": 99}],
    }  # fmt: skip
    return described | more


def event(**more):
    return {"workflow_run": run_answer(), "repository": HOME} | more


def pull(number, sha=SHA, base=HOME):
    return {"number": number, "head": {"sha": sha, "ref": "mend"}, "base": {"repo": base}, "title": "<b>"}


def found(**more):
    return Run.model_validate(run_answer(**more))


def test_find_run__is_the_run_as_github_describes_it(api):
    api.reply("actions/runs/5", json_reply(run_answer(conclusion="failure")))
    run = find_run(GITHUB, event())
    assert isinstance(run, Run)
    assert (run.id, run.conclusion, run.head_sha) == (5, "failure", SHA)


@pytest.mark.parametrize(
    "payload", [{}, {"workflow_run": None}, {"workflow_run": {"id": "5"}}, {"workflow_run": {"id": True}}]
)
def test_find_run__an_event_without_a_run_cannot_be_told(api, payload):
    with pytest.raises(CannotTell, match="this event names no run: start this from a workflow_run event"):
        find_run(GITHUB, payload)
    assert api.asked == []


@pytest.mark.parametrize(
    "more",
    [{"path": ".github/workflows/other.yml"}, {"path": "dynamic/ci.yml"}, {"head_sha": OTHER}, {"id": 6}],
)
def test_find_run__a_run_that_is_not_what_the_event_says_is_not_spoken_of(api, more):
    api.reply("actions/runs/5", json_reply(run_answer(**more)))
    with pytest.raises(CannotTell, match=r"run 5 is no run of \.github/workflows/ci\.yml as the event describes it"):
        find_run(GITHUB, event())


def test_find_run__the_path_may_say_where_the_workflow_came_from(api):
    api.reply("actions/runs/5", json_reply(run_answer(path=".github/workflows/ci.yml@main")))
    assert isinstance(find_run(GITHUB, event()), Run)


@pytest.mark.parametrize("missing", ["run_attempt", "head_sha", "repository", "event"])
def test_find_run__an_answer_of_another_shape_cannot_be_told(api, missing):
    answer = run_answer()
    del answer[missing]
    api.reply("actions/runs/5", json_reply(answer))
    with pytest.raises(CannotTell, match=f"GitHub describes run 5 in an unexpected way: {missing}: Field required"):
        find_run(GITHUB, event())


@pytest.mark.parametrize("name", ["push", "merge_group", "workflow_dispatch"])
def test_find_run__a_run_without_a_pull_request_is_not_commented_on(api, name):
    api.reply("actions/runs/5", json_reply(run_answer(event=name)))
    assert find_run(GITHUB, event()) == Nothing(f"run 5 was caused by {name}")


@pytest.mark.parametrize("more", [{"run_attempt": 2}, {"status": "in_progress", "conclusion": None}])
def test_find_run__one_that_was_started_again_waits_for_its_end(api, more):
    api.reply("actions/runs/5", json_reply(run_answer(**more)))
    assert find_run(GITHUB, event()) == Nothing("run 5 was started again: its next attempt will be commented on")


def test_find_pull_request__is_the_open_one_whose_newest_commit_was_tested(api):
    api.lists("pulls", [pull(3, OTHER), pull(4), pull(5, base=FORK)])
    assert find_pull_request(GITHUB, found()) == 4
    assert api.asked[0].query == {"state": "open", "head": "octo:mend", "per_page": "100", "page": "1"}


def test_find_pull_request__of_a_fork_is_asked_for_under_its_owner_and_any_branch_name(api):
    api.lists("pulls", [pull(4)])
    assert find_pull_request(GITHUB, found(head_repository=FORK, head_branch="a&state=all#é %2f/b")) == 4
    assert api.asked[0].query["head"] == "stranger:a&state=all#é %2f/b"
    assert api.asked[0].query["state"] == "open"


def test_find_pull_request__of_a_fork_that_is_gone_is_looked_for_among_all_open_ones(api):
    api.lists("pulls", [*(pull(number, OTHER) for number in range(1, 120)), pull(120)])
    assert find_pull_request(GITHUB, found(head_repository=None)) == 120
    assert "head" not in api.asked[0].query


@pytest.mark.parametrize("pulls", [[], [pull(4, OTHER)], [pull(4, base=FORK)]])
def test_find_pull_request__one_that_was_closed_or_pushed_to_is_not_commented_on(api, pulls):
    api.lists("pulls", pulls)
    assert find_pull_request(GITHUB, found()) == Nothing("its pull request was closed, or has newer commits")


def test_find_pull_request__two_for_one_commit_cannot_be_told_apart(api):
    api.lists("pulls", [pull(4), pull(9)])
    with pytest.raises(
        CannotTell, match="several open pull requests have the commit of run 5: 4, 9: close all but one"
    ):
        find_pull_request(GITHUB, found())


def test_find_pull_request__an_answer_of_another_shape_cannot_be_told(api):
    api.lists("pulls", [{"number": 4}])
    with pytest.raises(CannotTell, match=r"GitHub describes the open pull requests in an unexpected way: 0\.head"):
        find_pull_request(GITHUB, found())
