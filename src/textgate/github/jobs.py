"""What GitHub itself says about the jobs of a run, and so what stopped it, whatever its files say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime

from textgate.github.answers import Answered, understood
from textgate.github.api import GitHub
from textgate.pipeline import STAGES

ALWAYS = ("check", "test", "plan")  # jobs of ci.yml
MODEL = ("train", "model_tests", "scan")  # skipped where nothing was changed that makes or judges a model
NEEDED = (*ALWAYS, *MODEL, "gate")  # all of which a verdict takes
STOPPED = {"failure": "failed", "timed_out": "ran out of time", "cancelled": "was cancelled"}
RUN = re.compile(r"--stage[ =](\S+)")  # an unnamed step is called by its command


class Step(Answered):
    """One step of a job."""

    name: str
    conclusion: str | None = None


class Job(Answered):
    """One job of a run; its names come from the pull request's own workflow file."""

    name: str
    conclusion: str | None
    started_at: AwareDatetime | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Stop:
    """A job that did not come through: how it ended, in which step, and the stage that this step ran."""

    job: str
    how: str
    step: str | None
    stage: str | None


def read_jobs(github: GitHub, run_id: int) -> tuple[Job, ...]:
    """Return the jobs of a run's latest attempt. Raises CannotTell if they are not to be had."""
    listed = github.pages(f"actions/runs/{run_id}/jobs", key="jobs")
    return understood(tuple[Job, ...], listed, f"the jobs of run {run_id}")


def stops(jobs: tuple[Job, ...]) -> tuple[Stop, ...]:
    """Return each job that failed, ran out of time or was cancelled, in that order, with its first such step.

    A job that was cancelled before its first step stopped nothing: of those, one is told if there is nothing else.
    """
    stopped = [job for job in jobs if job.conclusion in STOPPED]
    stopped.sort(key=lambda job: (list(STOPPED).index(job.conclusion or ""), _place(job.name)))
    begun = [job for job in stopped if job.steps or job.conclusion != "cancelled"]
    return tuple(map(_stop, begun or stopped[:1]))


def conclusion(jobs: tuple[Job, ...], name: str) -> str | None:
    """Return how the job of this name ended; None if there is none, or several."""
    found = [job.conclusion for job in jobs if job.name == name]
    return found[0] if len(found) == 1 else None


def started(jobs: tuple[Job, ...], name: str) -> datetime | None:
    """Return when the job of this name began; None if that is not known."""
    return next((job.started_at for job in jobs if job.name == name), None)


def _place(name: str) -> int:
    return NEEDED.index(name) if name in NEEDED else len(NEEDED)


def _stop(job: Job) -> Stop:
    step = next((step.name for step in job.steps if step.conclusion in STOPPED), None)
    return Stop(job.name, STOPPED[job.conclusion or ""], step, _stage(step))


def _stage(step: str | None) -> str | None:
    """Return the stage that a step runs, told from its name."""
    found = RUN.search(step or "")
    name = found[1] if found else step
    return name if name in [stage.name for stage in STAGES] else None
