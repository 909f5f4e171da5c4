"""Runs that did not come to their end: the comment says where they stopped, and nothing reads as passed."""

import pytest
from tests.github import events
from tests.github.finished import Finished
from tests.github.hub import LocalGitHub
from tests.github.project import Project

CRASHES = {  # the stage, what it does, and the reason that the comment gives
    "raises": ("train", 'raise RuntimeError("no @luck today")', "a defect in textgate, RuntimeError: no `@luck` today"),
    "is killed": ("train", "os.kill(os.getpid(), 9)", "it ended with exit code 255; what it printed says more"),
    "leaves": ("choose", "__import__('os')._exit(9)", "it ended with exit code 9; what it printed says more"),
}


@pytest.mark.parametrize("how", CRASHES)
def test_stopped__a_stage_that_crashes_is_named_with_its_reason(hub: LocalGitHub, project: Project, how: str) -> None:
    stage, code, reason = CRASHES[how]
    project.branch("crash")
    start = f"def main() -> {'int' if stage == 'train' else 'None'}:\n"
    project.replace(f"scripts/{stage}.py", start, f"{start}    {code}\n")
    ci, comment = events.judged(hub, project.pull_request(f"crash-{how.replace(' ', '-')}"))
    assert ci.conclusion == "failure", ci.text
    assert ci.step("train", stage) == "failure"
    assert {ci.jobs[name].conclusion for name in ("model_tests", "scan")} == {"skipped"}
    assert ci.jobs["gate"].conclusion == "failure"
    assert comment["body"].startswith(f"### No verdict: {stage} failed\n"), comment["body"]
    assert f"- `{stage}` in job `train` **failed** · {reason}" in comment["body"]
    assert "Not run: `model_tests` `scan`" in comment["body"]
    assert "What its files say" not in comment["body"]
    assert "passed this model" not in comment["body"]


def test_stopped__a_run_that_is_cancelled_while_it_trains_says_so(hub: LocalGitHub, project: Project) -> None:
    project.branch("cancelled")
    project.config("train", seed=15)
    ci, comment = events.judged(hub, project.pull_request("cancelled"), at_step=("train", "train"))
    assert ci.conclusion == "cancelled", ci.text
    assert comment["body"].startswith("### No verdict: train was cancelled\n"), comment["body"]
    assert "- `train` in job `train` **was cancelled** · it left no reason" in comment["body"]
    assert comment["body"].count("**was cancelled**") == 1
    assert "Not run: `model_tests` `scan` `gate`" in comment["body"]
    assert "It left no evidence." in comment["body"]


def test_stopped__a_run_that_was_cancelled_before_it_began_says_so(
    hub: LocalGitHub, project: Project, finished: Finished
) -> None:
    project.branch("early")
    project.write("docs/early.md", "# Early\n")
    number = project.pull_request("early")
    nothing: dict[str, str | None] = dict.fromkeys((job["name"] for job in finished.jobs), None)
    events.workflow_run(hub, finished.again(hub, number, None, "cancelled", nothing))
    (comment,) = hub.comments(number)
    assert comment["body"].startswith("### No verdict: it ended (cancelled) before any job did\n")
    skipped: dict[str, str | None] = dict.fromkeys(nothing, "skipped")
    events.workflow_run(hub, finished.again(hub, number, None, "cancelled", skipped | {"check": "cancelled"}))
    (comment,) = hub.comments(number)
    assert comment["body"].startswith("### No verdict: check was cancelled\n")
    assert "Not run: `test` `plan` `train` `model_tests` `scan` `gate`" in comment["body"]


def test_stopped__checks_that_fail_train_nothing_and_are_named(hub: LocalGitHub, project: Project) -> None:
    project.branch("lint")
    project.write("tests/test_lint.py", "import os\n")
    ci, comment = events.judged(hub, project.pull_request("lint"))
    assert ci.jobs["check"].conclusion == ci.conclusion == "failure", ci.text
    assert ci.jobs["train"].conclusion == "skipped"
    assert comment["body"].startswith("### "), comment["body"]
    assert "- job `check` **failed** in step `Run make check`" in comment["body"]
    assert "passed this model" not in comment["body"]


def test_stopped__unit_tests_that_fail_stop_a_model_that_passed_beside_them(hub: LocalGitHub, project: Project) -> None:
    project.branch("broken")
    project.config("train", seed=16)
    project.write("tests/test_broken.py", "def test_broken__nothing_is_something():\n    assert [] == [1]\n")
    ci, comment = events.judged(hub, project.pull_request("broken"))
    assert {ci.jobs[name].conclusion for name in ("check", "train", "model_tests", "scan")} == {"success"}, ci.text
    assert ci.step("gate", "gate") == "success"
    assert ci.jobs["test"].conclusion == ci.jobs["gate"].conclusion == ci.conclusion == "failure"
    assert comment["body"].startswith("### This run did not succeed: test failed\n"), comment["body"]
    assert "- job `test` **failed** in step `Run make test`" in comment["body"]
