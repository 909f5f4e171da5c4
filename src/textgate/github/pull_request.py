"""A finished run into the pull request that it belongs to, if it still does.

The event's payload only says which run to ask about; what counts is what the API says about that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from textgate.errors import CannotTell
from textgate.github.answers import Answered, understood
from textgate.github.api import GitHub
from textgate.records import Commit

WORKFLOW = ".github/workflows/ci.yml"
MOST_OPEN = 3000  # open pull requests looked through when the run's branch is no longer known


class Owner(Answered):
    """Whose repository it is."""

    login: str


class Repository(Answered):
    """A repository: this one or a fork."""

    id: int
    owner: Owner


class Run(Answered):
    """A run of a workflow."""

    id: int
    run_attempt: int
    path: str
    event: str
    status: str
    conclusion: str | None
    head_sha: Commit
    head_branch: str | None
    repository: Repository
    head_repository: Repository | None  # None: the fork is gone


class Head(Answered):
    """The newest commit of a pull request."""

    sha: Commit


class Base(Answered):
    """Where a pull request is to be merged."""

    repo: Repository


class Pull(Answered):
    """An open pull request."""

    number: int
    head: Head
    base: Base


@dataclass(frozen=True)
class Nothing:
    """There is nothing to comment on, and why."""

    reason: str


def find_run(github: GitHub, payload: Mapping[str, Any]) -> Run | Nothing:
    """Return the run that a workflow_run event is about, as the API knows it.

    Raises CannotTell if the payload is not about a finished run of ci in this repository.
    """
    told = payload.get("workflow_run")
    number = told.get("id") if isinstance(told, dict) else None
    if not isinstance(told, dict) or type(number) is not int:
        raise CannotTell("this event names no run: start this from a workflow_run event")
    run = understood(Run, github.get(f"actions/runs/{number}"), f"run {number}")
    if run.id != number or run.path.partition("@")[0] != WORKFLOW or run.head_sha != told.get("head_sha"):
        raise CannotTell(f"run {number} is no run of {WORKFLOW} as the event describes it: nothing is said about it")
    if run.run_attempt != told.get("run_attempt") or run.status != "completed":
        return Nothing(f"run {number} was started again: its next attempt will be commented on")
    if run.event != "pull_request":
        return Nothing(f"run {number} was caused by {run.event if run.event.isidentifier() else 'something else'}")
    return run


def find_pull_request(github: GitHub, run: Run) -> int | Nothing:
    """Return the number of the open pull request whose newest commit the run was about.

    Raises CannotTell if there are several: which one was judged cannot be told.
    """
    query = "pulls?state=open"
    if run.head_repository is not None and run.head_branch is not None:
        query += f"&head={quote(f'{run.head_repository.owner.login}:{run.head_branch}', safe=':')}"
    pulls = understood(list[Pull], github.pages(query, most=MOST_OPEN), "the open pull requests")
    ours = [pull for pull in pulls if pull.head.sha == run.head_sha and pull.base.repo.id == run.repository.id]
    if len(ours) > 1:
        numbers = ", ".join(str(pull.number) for pull in ours)
        raise CannotTell(f"several open pull requests have the commit of run {run.id}: {numbers}: close all but one")
    return ours[0].number if ours else Nothing("its pull request was closed, or has newer commits")
