"""A tag that a person pushed into the run of ci.yml that judged its commit on the default branch."""

from __future__ import annotations

from typing import Any

from textgate.errors import Refused
from textgate.evidence import VERSION
from textgate.github.api import GitHub
from textgate.release.tags import commit_of_tag

WORKFLOW = ".github/workflows/ci.yml"
ARTIFACT = "judged"


def judged_run(github: GitHub, tag: str) -> tuple[int, str]:
    """Return the id of the newest run that judged the commit of a tag, and the commit.

    Only a run counts that succeeded, for a push to the default branch, and whose judged bundle is still kept. Raises
    Refused if there is none, or if the tag is no version.
    """
    if not VERSION.fullmatch(tag):
        raise Refused(f"the tag {tag[:40]!a} is not a version: name it like v1.2.3, or delete it")
    commit, branch = commit_of_tag(github, tag), github.get("")["default_branch"]
    if commit is None:
        raise Refused(f"there is no tag {tag} on GitHub: push it first")
    query = f"actions/workflows/ci.yml/runs?head_sha={commit}&event=push&status=success"
    runs = [run for run in github.pages(query, key="workflow_runs") if _counts(run, commit, branch)]
    for run in sorted(runs, key=lambda run: -run["id"]):
        artifacts = github.pages(f"actions/runs/{run['id']}/artifacts", key="artifacts")
        if any(artifact.get("name") == ARTIFACT and artifact.get("expired") is False for artifact in artifacts):
            return run["id"], commit
    raise Refused(f"commit {commit[:12]} was never judged: {_why(bool(runs), branch)}")


def _counts(run: dict[str, Any], commit: str, branch: str) -> bool:
    """Say whether a run is what was asked for: what a server leaves out of a filter must not slip in."""
    wanted = {"head_sha": commit, "head_branch": branch, "event": "push", "conclusion": "success", "path": WORKFLOW}
    return isinstance(run.get("id"), int) and all(run.get(key) == value for key, value in wanted.items())


def _why(ran: bool, branch: str) -> str:
    if not ran:
        return f"no run of {WORKFLOW} for it on {branch} succeeded: merge it, wait for its run, then tag it"
    return (
        f'its run kept no artifact "{ARTIFACT}" (nothing that makes a model changed, or it expired): '
        "tag the commit that made the model, or run its workflow again"
    )
