"""What the harness has to know from the YAML itself: names, permissions, and which actions it uses."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

STAND_INS = {"attest-build-provenance": "attest"}
USES = re.compile(r"^\s*(?:-\s+)?(?:.*[{,]\s*)?uses:\s*([\w.-]+/[\w.-]+)((?:/[\w.-]+)*)@([\w.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Workflow:
    """A workflow as parsed, and those that its jobs call: {job id: Workflow}."""

    name: str
    parsed: dict[str, Any]
    called: dict[str, "Workflow"]

    @staticmethod
    def read(path: Path) -> "Workflow":
        """Read a workflow and those that it calls from the same checkout."""
        parsed = yaml.safe_load(path.read_text(encoding="utf-8"))
        root = path.parent.parent.parent
        calls = {name: job["uses"] for name, job in parsed["jobs"].items() if "uses" in job}
        return Workflow(
            parsed.get("name", path.name), parsed, {name: Workflow.read(root / use) for name, use in calls.items()}
        )

    def jobs(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield (key, name that GitHub shows, job) of every job that has steps; keys of called ones are CALLER/JOB."""
        for job, content in self.parsed["jobs"].items():
            if job not in self.called:
                yield job, content.get("name", job), content
                continue
            caller = content.get("name", job)
            for key, name, inner in self.called[job].jobs():
                yield f"{job}/{key}", f"{caller} / {name}", inner

    def permissions(self) -> dict[str, str]:
        """Return all that the jobs may do together: act has one token for a run, GitHub one for each job."""
        asked = [self.parsed.get("permissions") or {}]
        asked += [job.get("permissions") or {} for _, _, job in self.jobs()]
        together: dict[str, str] = {}
        for grants in asked:
            for scope, level in grants.items():
                together[scope] = level if together.get(scope) != "write" else "write"
        return together


def step_name(step: dict[str, Any]) -> str:
    """Return the name that GitHub shows for a step."""
    if "name" in step:
        return str(step["name"])
    return f"Run {step['uses']}" if "uses" in step else f"Run {str(step['run']).splitlines()[0]}"


def local_actions(checkout: Path, stand_ins: Path) -> list[str]:
    """Return OWNER/NAME@SHA=FOLDER for every action from outside; AssertionError if there is no stand-in for one."""
    files = [*checkout.glob(".github/workflows/*.yml"), *checkout.glob(".github/actions/*/action.yml")]
    pins = {(found[0], found[2]) for file in files for found in USES.findall(file.read_text(encoding="utf-8"))}
    bound = []
    for action, pin in sorted(pins):
        name = action.split("/")[1]
        folder = stand_ins / STAND_INS.get(name, name)
        assert folder.is_dir(), f"{action} has no stand-in under tests/github/actions"
        bound.append(f"{action}@{pin}={folder}")
    return bound
