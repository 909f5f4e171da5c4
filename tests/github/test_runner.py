"""The runner, the stand-in actions and the local GitHub together, on three tiny workflows of their own."""

import shutil
from pathlib import Path

import psutil
import pytest
from tests.github import events
from tests.github.git_side import git
from tests.github.hub import LocalGitHub

TINY = Path(__file__).resolve().parent / "tiny"


@pytest.fixture(scope="module")
def work(hub: LocalGitHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    git(folder, "init", "--quiet", "--initial-branch=main")
    shutil.copytree(TINY, folder, dirs_exist_ok=True)
    change(folder, "first")
    hub.push(folder, "main")
    return folder


def change(folder: Path, word: str) -> None:
    """Commit a word; the workflow `ci` passes it on, `broken` breaks its training, `wait…` makes it wait."""
    (folder / "word.txt").write_text(word, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", f"say {word}")


def opened(hub: LocalGitHub, work: Path, word: str, owner: str = "acme") -> int:
    """Open a pull request that says a word."""
    git(work, "checkout", "--quiet", "-B", f"say-{word}", "main")
    change(work, word)
    hub.push(work, f"say-{word}", owner)
    return hub.open_pull(f"say-{word}", owner)["number"]


def test_run__a_pull_request_goes_from_checkout_to_one_comment(hub: LocalGitHub, work: Path) -> None:
    number = opened(hub, work, "good")
    ci = events.pull_request(hub, number, "opened")
    assert ci.conclusion == "success", ci.text
    assert {key: job.conclusion for key, job in ci.jobs.items()} == {
        "plan": "success",
        "train": "success",
        "gate": "success",
        "deploy/publish": "skipped",
    }
    assert hub.unzip(ci.id, "evidence") == {"stages/train.txt": b"good\n"}
    assert set(hub.unzip(ci.id, "stage-train")) == {"stages/train.txt"}
    said = events.workflow_run(hub, ci)
    assert said.conclusion == "success", said.text
    (comment,) = hub.comments(number)
    assert "Plan it: success\n" in comment["body"]
    assert "evidence\nstage-train\n" in comment["body"] or "stage-train\nevidence\n" in comment["body"]
    assert comment["user"]["login"] == "github-actions[bot]"
    assert hub.runs[ci.id]["head_sha"] == hub.pull(number)["head"]["sha"]
    assert 'CML watermark tiny")' in comment["body"]
    next_ci = events.pull_request(hub, number)
    again = events.workflow_run(hub, next_ci)
    assert again.conclusion == "success", again.text
    assert f"Cache restored from key: kept-{ci.id}\n" in next_ci.said("train")
    assert hub.api("GET", f"actions/runs/{next_ci.id}/artifacts")["total_count"] == 2
    assert [one["id"] for one in hub.comments(number)] == [comment["id"]]


def test_run__a_failed_step_is_told_with_those_after_it(hub: LocalGitHub, work: Path) -> None:
    ci = events.pull_request(hub, opened(hub, work, "broken"))
    assert ci.conclusion == "failure"
    assert [ci.step("train", step) for step in ("2", "train", "after", "5")] == [
        "success",
        "failure",
        "skipped",
        "success",
    ]
    jobs = {job["name"]: job for job in hub.api("GET", f"actions/runs/{ci.id}/jobs")["jobs"]}
    assert jobs["train"]["conclusion"] == "failure"
    named = {step["name"]: step["conclusion"] for step in jobs["train"]["steps"]}
    assert named["Run echo after"] == "skipped"
    assert hub.api("GET", f"actions/runs/{ci.id}")["conclusion"] == "failure"


def test_run__a_cancelled_run_says_where_it_was(hub: LocalGitHub, work: Path) -> None:
    ci = events.pull_request(hub, opened(hub, work, "wait"), at_step=("train", "train"))
    assert ci.conclusion == hub.api("GET", f"actions/runs/{ci.id}")["conclusion"] == "cancelled"
    assert (ci.jobs["plan"].conclusion, ci.jobs["train"].conclusion) == ("success", "cancelled")
    assert (ci.step("train", "train"), ci.step("train", "after")) == ("cancelled", "skipped")
    assert {ci.jobs[name].conclusion for name in ("gate", "deploy/publish")} == {"skipped"}  # neither had begun


def test_run__that_says_nothing_more_tells_what_it_waits_for(hub: LocalGitHub, work: Path) -> None:
    with pytest.raises(AssertionError, match=r"ci.yml said nothing for 1 s; its processes:\n") as raised:
        events.pull_request(hub, opened(hub, work, "waits"), timeout=1)
    assert "act pull_request" in str(raised.value)
    assert "the last calls of GitHub:\n" in str(raised.value)


def test_run__is_ended_if_what_was_to_happen_meanwhile_fails(hub: LocalGitHub, work: Path) -> None:
    before = set(psutil.Process().children())
    with pytest.raises(ZeroDivisionError):
        events.pull_request(hub, opened(hub, work, "wait-for-it"), at_step=("train", "train"), then=lambda: 1 / 0)
    assert psutil.wait_procs(set(psutil.Process().children()) - before, timeout=60)[1] == []


def test_run__is_cancelled_by_a_call_that_is_held_back(hub: LocalGitHub, work: Path) -> None:
    number = opened(hub, work, "held")
    ci = events.pull_request(hub, number)
    posting = hub.hold("POST", r"/comments$", after=0)
    said = events.workflow_run(hub, ci, at_step=("comment", "1"), then=posting)
    assert (said.conclusion, said.jobs["comment"].conclusion) == ("cancelled", "cancelled")
    assert hub.comments(number) == []
    assert events.workflow_run(hub, ci).conclusion == "success"
    assert len(hub.comments(number)) == 1


def test_run__all_that_a_failed_step_said_is_heard(hub: LocalGitHub, work: Path) -> None:
    run = events.dispatch(hub, "fails.yml", {})
    assert (run.conclusion, run.step("fails", "seq")) == ("failure", "failure")
    assert run.said("fails").split() == [str(number) for number in range(1, 20001)]


def test_run__a_step_waits_for_what_happens_when_it_begins(hub: LocalGitHub, work: Path) -> None:
    run = events.dispatch(hub, "fails.yml", {}, at_step=("fails", "seq"))
    assert (run.conclusion, run.step("fails", "seq"), run.said("fails")) == ("cancelled", "cancelled", "")


def test_run__something_can_happen_when_a_step_begins(hub: LocalGitHub, work: Path) -> None:
    seen = []
    ci = events.pull_request(hub, opened(hub, work, "watched"), at_step=("gate", "0"), then=lambda: seen.append("now"))
    assert (ci.conclusion, seen) == ("success", ["now"])


def test_run__a_workflow_without_a_job_to_run_is_skipped(hub: LocalGitHub) -> None:
    assert events.dispatch(hub, "never.yml", {}).conclusion == "skipped"


def test_run__an_action_without_a_stand_in_is_told(hub: LocalGitHub, work: Path) -> None:
    git(work, "checkout", "--quiet", "-B", "unknown", "main")
    text = (work / ".github/workflows/never.yml").read_text(encoding="utf-8")
    (work / ".github/workflows/never.yml").write_text(text.replace("run: 'true'", f"uses: a/b@{'6' * 40}"))
    change(work, "unknown")
    hub.push(work, "unknown")
    with pytest.raises(AssertionError, match="a/b has no stand-in under tests/github/actions"):
        events.pull_request(hub, hub.open_pull("unknown")["number"])


def test_run__labels_that_no_machine_has_are_told(hub: LocalGitHub, work: Path) -> None:
    number = opened(hub, work, "labels")
    ci = events.pull_request(hub, number, variables={"LABELS": '["self-hosted", "gpu"]'})
    assert ci.jobs["train"].runs_on == ["self-hosted", "gpu"]
    assert ci.jobs["plan"].outputs["plan"]["runner"] == '["self-hosted", "gpu"]'
    with_machine = {"variables": {"LABELS": '["self-hosted", "gpu"]'}, "labels": ("self-hosted", "gpu")}
    assert events.pull_request(hub, number, **with_machine).jobs["train"].conclusion == "success"


def test_run__a_fork_may_not_write_and_its_comment_comes_from_the_default_branch(hub: LocalGitHub, work: Path) -> None:
    number = opened(hub, work, "foreign", "mallory")
    ci = events.pull_request(hub, number)
    assert ci.conclusion == "success", ci.text
    assert ci.api["head_repository"]["full_name"] == "mallory/langid"
    assert set(hub.tokens[list(hub.tokens)[-1]].scopes.values()) == {"read"}
    assert events.workflow_run(hub, ci).conclusion == "success"
    assert len(hub.comments(number)) == 1


def test_run__a_push_to_main_runs_the_called_workflow_with_its_artifact(hub: LocalGitHub, work: Path) -> None:
    before = hub.git.sha("refs/heads/main")
    sha = hub.merge_pull(opened(hub, work, "merged"))
    ci = events.push(hub, before)
    assert ci.conclusion == "success", ci.text
    assert ci.jobs["deploy/publish"].conclusion == "success"
    assert {job["name"] for job in ci.api["jobs"]} == {"Plan it", "train", "gate", "deploy / Publish it"}
    assert hub.api("GET", "releases/latest")["body"] == "merged"
    assert hub.git.sha("refs/tags/v0.0.1") == sha
    assert "Cache not found" in ci.said("train")  # what pull requests saved is theirs alone
