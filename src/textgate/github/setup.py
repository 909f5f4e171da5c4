"""A repository as it is into a repository as configs/repository.yaml wants it: read, compare, write, read again."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from textgate.errors import CannotTell, Refused
from textgate.github.api import GitHub
from textgate.github.settings import Setting
from textgate.github.wanted import Json
from textgate.report.markdown import visible

JUDGES = (  # what decides about a model: a change here needs the word of an owner
    "/.github/", "/Makefile", "/configs/data.yaml", "/configs/gates.yaml", "/configs/release.yaml",
    "/configs/repository.yaml", "/configs/sentences.yaml", "/dvc.yaml", "/model_tests/", "/requirements*", "/scripts/",
    "/src/",
)  # fmt: skip
OWNERS = ".github/CODEOWNERS"
ORIGIN = re.compile(r"[/:]([\w-]+/[\w.-]+?)(?:\.git)?/?$")
AT_ONCE = 8  # reads
SHOWN = 300  # characters of a value
UNREADABLE = (CannotTell, KeyError, TypeError, AttributeError)  # the last three: an answer of another shape


@dataclass(frozen=True)
class Difference:
    """One value that is not what it should be."""

    setting: str
    key: str
    present: Any
    wanted: Any


@dataclass(frozen=True)
class Found:
    """What a comparison found; `problems` are lines about settings that could not be read."""

    differing: tuple[tuple[Setting, Json | None], ...]  # with what is there
    differences: tuple[Difference, ...]
    problems: tuple[str, ...]


def origin() -> str:
    """Return owner/name of the git remote `origin`. Raises CannotTell if there is none."""
    done = subprocess.run(["git", "remote", "get-url", "origin"], capture_output=True, text=True, check=False)
    if not (found := ORIGIN.search(done.stdout.strip())):
        raise CannotTell("git has no remote named origin on GitHub: say which repository, --repo owner/name")
    return found[1]


def differences(setting: str, present: Any, wanted: Any, key: str = "") -> list[Difference]:
    """Compare what GitHub says with what is wanted; keys that nobody asked about are left out. None: not there."""
    if wanted and isinstance(wanted, Mapping) and (present is None or isinstance(present, Mapping)):
        there = present or {}
        found = (differences(setting, there.get(name), value, f"{key}.{name}") for name, value in wanted.items())
        return [difference for each in found for difference in each]
    if isinstance(wanted, Mapping) and isinstance(present, Mapping):
        return []
    same = present == wanted and type(present) is type(wanted)  # as numbers, 1 and True are equal
    return [] if same else [Difference(setting, key.removeprefix("."), present, wanted)]


def compare(github: GitHub, wanted: Iterable[Setting]) -> Found:
    """Read each setting and say what differs."""
    wanted = tuple(wanted)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = tuple(pool.map(lambda setting: _read(github, setting), wanted))
    differing: list[tuple[Setting, Json | None]] = []
    different: list[Difference] = []
    for setting, (there, problem) in zip(wanted, read, strict=True):
        found = [] if problem else differences(setting.name, there, setting.wanted)
        differing += [(setting, there)] if found else []
        different += found
    return Found(tuple(differing), tuple(different), tuple(problem for _, problem in read if problem))


def _read(github: GitHub, setting: Setting) -> tuple[Json | None, str | None]:
    """Return what is there, or a line that says why that cannot be told."""
    try:
        return setting.read(github), None
    except UNREADABLE as error:
        return None, f"{setting.name} cannot be read: {_reason(error)}"


def apply(github: GitHub, differing: Iterable[tuple[Setting, Json | None]]) -> tuple[str, ...]:
    """Write each setting, given what was read, and read it back; return a line for each that GitHub did not take."""
    problems: list[str] = []
    written: list[Setting] = []
    for setting, there in differing:
        try:
            setting.write(github, there)
        except UNREADABLE as error:
            problems.append(f"{setting.name} is not set: {_reason(error)}")
        else:
            written.append(setting)
    after = compare(github, written)
    kept = [f"{each.setting} is not set: {each.key} is still {_short(each.present)}" for each in after.differences]
    return (*problems, *kept, *after.problems)


def code_owner_problems(github: GitHub) -> tuple[str, ...]:
    """Say what is wrong with CODEOWNERS on the default branch; GitHub passes over an unknown owner in silence."""
    file = github.find(f"contents/{OWNERS}")
    if file is None:
        return (f"{OWNERS} is not on the default branch: nobody has to agree to a change of what judges",)
    text = base64.b64decode(file["content"]).decode("utf-8", "replace")
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    owned = {line[0] for line in lines if len(line) > 1}
    missing = [f"{OWNERS} names no owner of {path}: add a line" for path in JUDGES if not owned & {path, "*"}]
    errors = github.get("codeowners/errors")["errors"]
    said = [f"{OWNERS}, line {each['line']}: {visible(each['message'], SHOWN)}" for each in errors]
    return (*missing, *said)


def table(found: Found) -> str:
    """Return what differs, a line for each: setting, what it is → what it should be."""
    names = [f"{each.setting} · {each.key}" for each in found.differences]
    width = max(map(len, names), default=0)
    values = [f"{_short(each.present)} → {_short(each.wanted)}" for each in found.differences]
    return "\n".join(f"{name:<{width}}  {value}" for name, value in zip(names, values, strict=True))


def summary(found: Found, not_set: tuple[str, ...], *, yes: bool) -> str:
    """Return what was done, in one line."""
    if not found.differing:
        return "nothing to do: every setting that could be read is as it should be"
    if not yes:
        return "nothing was changed: run this again with --yes to set what differs"
    return "set what differed, except for what follows" if not_set else "set what differed, and read it back"


def judge(problems: tuple[str, ...], owners: tuple[str, ...]) -> None:
    """Print a line for each problem. Raises CannotTell if settings could not be read or set, or else Refused."""
    for line in (*problems, *owners):
        print(line, file=sys.stderr)
    if problems:
        raise CannotTell("some settings could not be read or set, see above: change them by hand, or run this again")
    if owners:
        raise Refused(f"{OWNERS} guards nothing yet, see above: mend it on the default branch, then run this again")


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, CannotTell) else f"GitHub's answer has another shape ({error!r})"


def _short(value: Any) -> str:
    """Return a value in words."""
    match value:
        case None:
            return "not there"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(_short, value)) or "none"
        case Mapping():
            return ", ".join(f"{key} {_short(item)}" for key, item in value.items()) or "set"
    return visible(str(value), SHOWN)
