"""The payloads that GitHub sends with its events, as far as workflows and scripts look at them."""

from typing import Any

from tests.github.hub import LocalGitHub
from tests.github.runner import Run, run


def _with_repository(hub: LocalGitHub, login: str) -> dict[str, Any]:
    return {"repository": hub.repository("acme"), "sender": {"login": login}}


def pull_request(
    hub: LocalGitHub, number: int, action: str = "synchronize", workflow: str = "ci.yml", **more: Any
) -> Run:
    """Run a workflow for a pull request: on the merge commit, and for a fork with a token that only reads."""
    pull = hub.pull(number)
    event = {"action": action, "number": number, "pull_request": pull} | _with_repository(hub, pull["user"]["login"])
    fork = pull["head"]["repo"]["id"] != pull["base"]["repo"]["id"]
    return run(hub, workflow, "pull_request", event, pull["merge_commit_sha"], read_only=fork, **more)


def merge_group(hub: LocalGitHub, number: int, workflow: str = "ci.yml", **more: Any) -> Run:
    """Run a workflow for a pull request that waits in the merge queue."""
    pull = hub.pull(number)
    head, base = pull["merge_commit_sha"], pull["base"]["sha"]
    hub.git.set_ref(f"refs/heads/gh-readonly-queue/main/pr-{number}-{base}", head)
    group = {"head_sha": head, "head_ref": f"refs/heads/gh-readonly-queue/main/pr-{number}-{base}"}
    group |= {"base_sha": base, "base_ref": "refs/heads/main"}
    event = {"action": "checks_requested", "merge_group": group} | _with_repository(hub, "rosa")
    return run(hub, workflow, "merge_group", event, head, **more)


def workflow_run(hub: LocalGitHub, of: Run, workflow: str = "comment.yml", **more: Any) -> Run:
    """Run a workflow of the default branch because another one has ended."""
    shown = {name: value for name, value in hub.runs[of.id].items() if name != "jobs"}
    event = {"action": "completed", "workflow_run": shown} | _with_repository(hub, shown["actor"]["login"])
    return run(hub, workflow, "workflow_run", event, hub.git.sha("refs/heads/main"), **more)


def push(hub: LocalGitHub, before: str, workflow: str = "ci.yml", **more: Any) -> Run:
    """Run a workflow for the newest commit of main; `before` is the one that main was at."""
    after = hub.git.sha("refs/heads/main")
    event = {"ref": "refs/heads/main", "before": before, "after": after} | _with_repository(hub, "rosa")
    return run(hub, workflow, "push", event, after, **more)


def push_tag(hub: LocalGitHub, name: str, workflow: str = "release.yml", **more: Any) -> Run:
    """Run a workflow for a tag that somebody pushed (`hub.tag`)."""
    sha = hub.git.sha(f"refs/tags/{name}")
    event = {"ref": f"refs/tags/{name}", "before": "0" * 40, "after": sha} | _with_repository(hub, "rosa")
    return run(hub, workflow, "push", event, sha, **more)


def dispatch(hub: LocalGitHub, workflow: str, inputs: dict[str, str], **more: Any) -> Run:
    """Run a workflow by hand on the default branch."""
    event = {"ref": "refs/heads/main", "inputs": inputs, "workflow": f".github/workflows/{workflow}"}
    sha = hub.git.sha("refs/heads/main")
    return run(hub, workflow, "workflow_dispatch", event | _with_repository(hub, "rosa"), sha, **more)


def judged(hub: LocalGitHub, number: int, **more: Any) -> tuple[Run, dict[str, Any]]:
    """Run ci and then comment for a pull request; return the run of ci and the one comment, which is also printed."""
    ci = pull_request(hub, number, **more)
    said = workflow_run(hub, ci)
    assert said.conclusion == "success", said.text
    (comment,) = hub.comments(number)
    print(f"\n--- comment on pull request {number}, run {ci.conclusion}\n{comment['body']}")
    return ci, comment
