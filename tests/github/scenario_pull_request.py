"""Pull requests, by the real workflows: what GitHub holds in the end."""

import json

from tests.github import events
from tests.github.hub import LocalGitHub
from tests.github.project import Project, made_up_rows


def test_pull_request__a_good_one_gets_one_comment_that_it_passed(hub: LocalGitHub, project: Project) -> None:
    project.branch("good")
    project.rows(made_up_rows(20, seed=8))
    number = project.pull_request("good", "More rows")
    ci, comment = events.judged(hub, number)
    assert ci.conclusion == "success", ci.text
    assert ci.jobs["gate"].conclusion == "success"
    assert comment["body"].startswith("### textgate passed this model")
    assert comment["user"]["login"] == "github-actions[bot]"

    project.config("train", seed=14)
    project.push("good", "Another seed")
    again, updated = events.judged(hub, number)
    assert again.conclusion == "success", again.text
    assert updated["id"] == comment["id"]
    assert updated["body"] != comment["body"]
    assert hub.pull(number)["head"]["sha"][:7] in updated["body"]


def test_pull_request__documentation_alone_trains_nothing(hub: LocalGitHub, project: Project) -> None:
    project.branch("words")
    project.write("docs/words.md", "# Words\n")
    ci, comment = events.judged(hub, project.pull_request("words", "Words"))
    assert ci.conclusion == "success", ci.text
    assert {ci.jobs[name].conclusion for name in ("train", "model_tests", "scan")} == {"skipped"}
    assert ci.jobs["gate"].conclusion == "success"
    assert comment["body"].startswith("### No model was trained")
    assert "`docs/words.md`" in comment["body"]


def test_pull_request__a_fork_is_judged_with_a_token_that_only_reads(hub: LocalGitHub, project: Project) -> None:
    project.branch("foreign")
    project.rows(made_up_rows(20, seed=9))
    number = project.pull_request("foreign", "Rows from a fork", owner="mallory")
    ci, comment = events.judged(hub, number, variables={"TEXTGATE_GPU_LABELS": "gpu"})
    assert ci.conclusion == "success", ci.text
    assert ci.jobs["train"].conclusion == "success"  # on a hosted machine, although there is a GPU for others
    assert json.loads(hub.unzip(ci.id, "evidence")["plan.json"])["fork"] is True
    assert comment["body"].startswith("### textgate passed this model")
