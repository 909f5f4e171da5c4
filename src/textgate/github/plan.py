"""What an event means for a run: on which machine it trains, and whether anything that makes a model changed.

Only events that people with write access cause are trusted with a GPU or a machine in the cloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from textgate.errors import CannotTell
from textgate.records import Evidence

HOSTED: tuple[str, ...] = ("ubuntu-24.04",)
NO_MODEL = ("docs/*", "tests/*", "benchmarks/*", "*.md", "LICENSE*", ".github/ISSUE_TEMPLATE/*", ".github/CODEOWNERS")
MAKES_CARD = "MODEL_CARD.md"  # read and written by a stage, although it looks like documentation
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
CLOUDS = ("aws",)  # the one whose credentials ci.yml hands to `cml runner`
NAMED = 3  # files in the reason


class Plan(Evidence):
    """build/plan.json: what this run does, and where."""

    changed: bool  # something that makes or judges a model
    reason: str
    runner: tuple[str, ...]  # labels that the training job asks for
    gpu: bool
    cloud: bool  # a machine has to be launched for it
    fork: bool  # or another event that is not to be trusted


@dataclass(frozen=True)
class Event:
    """What GitHub says about the run."""

    run_id: str
    base: str | None  # commit to compare with; None: there is none
    trusted: bool


@dataclass(frozen=True)
class Variables:
    """The repository variables that name a GPU: labels of a runner, or a cloud and the machine to launch there."""

    gpu_labels: tuple[str, ...]
    cloud: str
    machine: str


def read_event(name: str, payload: Mapping[str, Any], run_id: str) -> Event:
    """Return the event of a push, a pull request or a merge queue. Raises CannotTell for any other, or a broken one."""
    try:
        match name:
            case "push":
                return Event(run_id, None if set(payload["before"]) == {"0"} else payload["before"], trusted=True)
            case "merge_group":
                return Event(run_id, payload["merge_group"]["base_sha"], trusted=True)
            case "pull_request":
                pull = payload["pull_request"]
                home = pull["head"]["repo"] is not None and pull["head"]["repo"]["id"] == payload["repository"]["id"]
                return Event(run_id, pull["base"]["sha"], home and pull["user"]["login"] != "dependabot[bot]")
    except (KeyError, TypeError) as error:
        raise CannotTell(f"the payload of the {name} event lacks {error}: run this in a workflow") from error
    raise CannotTell(f"no plan for the event {name!r}: ci runs on push, pull_request and merge_group")


def read_variables(environment: Mapping[str, str]) -> Variables:
    """Read TEXTGATE_GPU_LABELS (a,b,c), TEXTGATE_CLOUD and TEXTGATE_CLOUD_TYPE. Raises CannotTell for odd ones."""
    labels = tuple(filter(None, (label.strip() for label in environment.get("TEXTGATE_GPU_LABELS", "").split(","))))
    if odd := [label for label in labels if not LABEL.fullmatch(label)]:
        raise CannotTell(f"the repository variable TEXTGATE_GPU_LABELS holds {odd[0]!r}: give runner labels, a,b,c")
    cloud = environment.get("TEXTGATE_CLOUD", "").strip()
    if cloud and cloud not in CLOUDS:
        raise CannotTell(f"the repository variable TEXTGATE_CLOUD is {cloud!r} (known: {', '.join(CLOUDS)})")
    machine = environment.get("TEXTGATE_CLOUD_TYPE", "").strip()
    if cloud and not machine:
        raise CannotTell(
            "the repository variable TEXTGATE_CLOUD_TYPE is not set: name the machine, such as g4dn.xlarge"
        )
    return Variables(labels, cloud, machine)


def decide(event: Event, variables: Variables, files: Iterable[str] | None) -> Plan:
    """Return the plan for these changed `files`; None: which files changed cannot be told, so everything runs."""
    changed, reason = _changed(files)
    gpu = event.trusted and bool(variables.gpu_labels or variables.cloud)
    cloud = gpu and not variables.gpu_labels
    runner = HOSTED
    if gpu:
        runner = ("self-hosted", f"textgate-{event.run_id}") if cloud else variables.gpu_labels
    return Plan(changed=changed, reason=reason, runner=runner, gpu=gpu, cloud=cloud and changed, fork=not event.trusted)


def _changed(files: Iterable[str] | None) -> tuple[bool, str]:
    if files is None:
        return True, "which files changed cannot be told, so everything runs"
    files = sorted(files)
    makers = [file for file in files if file == MAKES_CARD or not any(fnmatchcase(file, like) for like in NO_MODEL)]
    shown = makers or files
    more = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
    names = ", ".join(shown[:NAMED]) + more
    if makers:
        return True, f"changed: {names}"
    return False, f"nothing that makes or judges a model changed (changed: {names or 'no file'})"
