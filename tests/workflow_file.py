"""A workflow or composite action as text and as parsed YAML, and what the rules ask of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class File:
    """`data` holds every scalar as text, so that `on` stays a word and `false` is what the file says."""

    name: str
    text: str
    data: dict[str, Any]

    @property
    def events(self) -> dict[str, Any]:
        """Return event -> its filters ("" if it has none); nothing for an action."""
        on = self.data.get("on", {})
        return on if isinstance(on, dict) else dict.fromkeys([on] if isinstance(on, str) else on, "")

    @property
    def jobs(self) -> dict[str, Any]:
        """Return name -> job; nothing for an action."""
        return self.data.get("jobs", {})

    def steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (place, step) of every job, or of an action."""
        lists = {name: job.get("steps", []) for name, job in self.jobs.items()}
        for place, steps in (lists or {"action": self.data["runs"]["steps"]}).items():
            for number, step in enumerate(steps, start=1):
                yield f"{place}, step {number}", step

    def needs(self, job: str) -> list[str]:
        """Return the jobs that one names itself."""
        needs = self.jobs[job].get("needs", [])
        return [needs] if isinstance(needs, str) else needs

    def ancestors(self, job: str) -> set[str]:
        """Return the jobs that come before this one."""
        found: set[str] = set()
        waiting = list(self.needs(job))
        while waiting:
            name = waiting.pop()
            if name not in found and name in self.jobs:
                found.add(name)
                waiting = waiting + self.needs(name)
        return found


def parse(name: str, text: str) -> File:
    return File(name, text, yaml.load(text, yaml.BaseLoader))


def workflows() -> dict[str, File]:
    paths = sorted((ROOT / ".github/workflows").iterdir())
    return {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in paths}


def actions() -> dict[str, File]:
    paths = sorted((ROOT / ".github/actions").rglob("action.y*ml"))
    return {path.parent.name: parse(path.parent.name, path.read_text(encoding="utf-8")) for path in paths}


def strings(value: Any) -> Iterator[str]:
    """Yield every text inside a parsed value, keys included."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    else:
        yield value


def uses(step: dict[str, Any], action: str) -> bool:
    """Say whether a step uses an action, whatever its version."""
    return step.get("uses", "").partition("@")[0].lower().startswith(action)


def grants(job: dict[str, Any]) -> dict[str, str]:
    """Return the permissions of a job; nothing for a word such as write-all, which has a finding of its own."""
    given = job.get("permissions", {})
    return given if isinstance(given, dict) else {}


def writes(job: dict[str, Any]) -> list[str]:
    return [scope for scope, access in grants(job).items() if access == "write"]


def condition(job: dict[str, Any]) -> str:
    """Return the `if` of a job or step without ${{ }}."""
    found = re.fullmatch(r"\$\{\{(.*)\}\}", job.get("if", "").strip())
    return (found[1] if found else job.get("if", "")).strip()
