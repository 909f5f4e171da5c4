"""What act prints with --json, as jobs and steps with GitHub's conclusions."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.github.exchange import moment, now
from tests.github.shells import ENDED, heard
from tests.github.workflow_file import Workflow, step_name

UNMAPPED = re.compile(r"Skipping unsupported platform -- Try running with `-P (.+)=\.\.\.`")


@dataclass
class Job:
    """One job. `steps` by id or place ("0", "1", …); `runs_on`: the labels asked for, if no machine has them."""

    key: str
    name: str
    parsed: dict[str, Any]
    conclusion: str = "skipped"
    steps: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    runs_on: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    started: str = ""
    ended: str = ""

    def step_keys(self) -> list[str]:
        """Return the steps' ids as act has them: the place stands for a missing one."""
        return [str(step.get("id", place)) for place, step in enumerate(self.parsed.get("steps", []))]

    def shown(self, host: str) -> dict[str, Any]:
        """Return the job as the API shows it."""
        names = [step_name(step) for step in self.parsed.get("steps", [])] if self.conclusion != "skipped" else []
        pairs = zip(names, self.step_keys(), strict=False)
        steps = [{"name": name, "status": "completed", "conclusion": self.steps[key]} for name, key in pairs]
        times = {"started_at": self.started or now(), "completed_at": self.ended or now()}
        numbered = [{"number": place} | step | times for place, step in enumerate(steps, 1)]
        ends = {"name": self.name, "status": "completed", "conclusion": self.conclusion, "steps": numbered}
        return ends | times | {"labels": self.runs_on, "html_url": f"https://{host}/"}


class Log:
    """Takes act's lines one after the other."""

    def __init__(self, workflow: Workflow) -> None:
        """Begin with every job skipped: act says nothing about those."""
        self._jobs = {key: Job(key, name, parsed) for key, name, parsed in workflow.jobs()}
        self._running: dict[str, set[str]] = {}
        self.text = ""

    def add(self, line: str) -> None:
        """Take one line; what is not JSON, or about no job, is kept as text."""
        try:
            said = json.loads(line)
        except ValueError:
            said = {"msg": line}
        message, ended, pipe = said.get("msg", "").partition(ENDED)
        if ended:
            heard(pipe.strip())
            if not message:
                return
        self.text += f"[{said.get('job', '').strip()}] {message.rstrip()}\n"
        job = self._job(said)
        if job is None:
            return
        job.ended = moment(datetime.fromisoformat(said["time"]))
        job.started = job.started or job.ended
        if said.get("raw_output"):
            job.lines.append(message)
        self._step(job, said)
        if label := UNMAPPED.search(message):
            job.runs_on.append(label[1])
        if "jobResult" in said:
            job.conclusion = said["jobResult"]

    def _job(self, said: dict[str, Any]) -> Job | None:
        """Find the job: act says `ci/gate  ` for one of its own and `deploy/deploy/publish` for a called one."""
        if "jobID" not in said:
            return None
        caller = said["job"].split("/")[0].strip()
        return self._jobs.get(f"{caller}/{said['jobID']}") or self._jobs.get(said["jobID"])

    def _step(self, job: Job, said: dict[str, Any]) -> None:
        path = said.get("stepID", [])
        if said.get("command") == "set-output" and path:
            job.outputs.setdefault(path[0], {})[said["name"]] = said["arg"]
        if len(path) != 1 or said.get("stage") != "Main":
            return
        if "stepResult" in said:
            job.steps[path[0]] = said["stepResult"]
            self._running.get(job.key, set()).discard(path[0])
        elif path[0] not in job.steps:
            self._running.setdefault(job.key, set()).add(path[0])

    def running(self, job: str, step: str) -> bool:
        """Say whether a step has begun and not ended."""
        return step in self._running.get(job, set())

    def jobs(self, *, cancelled: bool) -> dict[str, Job]:
        """Return every job; steps that did not run are `skipped`, what was under way at the end is `cancelled`."""
        for job in self._jobs.values():
            under_way = self._running.get(job.key, set())
            if cancelled and (under_way or (job.started and job.conclusion == "skipped")):
                job.conclusion = "cancelled"
            others = {key: "cancelled" if key in under_way else "skipped" for key in job.step_keys()}
            job.steps = others | job.steps
        return self._jobs

    def conclusion(self) -> str:
        """Return what GitHub would say about the run; a job that no machine took would have waited for ever."""
        ends = {job.conclusion for job in self._jobs.values()}
        return next((end for end in ("failure", "success") if end in ends), "skipped")
