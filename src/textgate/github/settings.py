"""How each setting of a repository is read from GitHub and written to it, in the shape that `wanted` gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from textgate.errors import CannotTell, Refused
from textgate.github.api import GitHub
from textgate.github.wanted import (
    MERGING,
    PRIVATE_FORKS,
    TOKEN,
    Environment,
    Json,
    RepositoryConfig,
    Ruleset,
    actions,
    environments,
    rulesets,
)

KINDS = {"User": "login", "Team": "slug"}  # of a reviewer -> what it is called by
PERMISSIONS = "actions/permissions"


@dataclass(frozen=True)
class Setting:
    """One thing that GitHub keeps, and how it is read (None: not there) and written (given what was read)."""

    name: str
    wanted: Json
    read: Callable[[GitHub], Json | None]
    write: Callable[[GitHub, Json | None], object]


def settings(github: GitHub, config: RepositoryConfig) -> tuple[Setting, ...]:
    """Return all settings, in the order in which they are written. Raises Refused without administration rights."""
    repository = github.get("")
    if not repository.get("permissions", {}).get("admin"):
        raise Refused(f"{github.repo}: only an administrator may change its settings: log in as one, gh auth login")
    labels = [(label.name, {"color": label.color, "description": label.description}) for label in config.labels]
    return (
        _at("merging", "", MERGING, "PATCH"),
        _actions(actions(config)),
        _at("workflow token", f"{PERMISSIONS}/workflow", TOKEN),
        *((_private_forks(),) if repository["private"] else _public(config)),
        *(_environment(wanted) for wanted in environments(config, repository["default_branch"])),
        *(_named("variable", "actions/variables", name, {"value": value}) for name, value in config.variables.items()),
        *(_named("label", "labels", name, wanted) for name, wanted in labels),
        *(_ruleset(wanted) for wanted in rulesets(config)),
    )


def _at(name: str, path: str, wanted: Json, method: str = "PUT") -> Setting:
    """Return a setting that has an address of its own."""
    return Setting(name, wanted, lambda g: g.get(path), lambda g, _: g.send(method, path, dict(wanted)))


def _actions(wanted: Json) -> Setting:
    """Return which actions may run: GitHub keeps it in two places, the second only where the first says `selected`."""
    first, selected = ("enabled", "allowed_actions", "sha_pinning_required"), f"{PERMISSIONS}/selected-actions"

    def read(github: GitHub) -> Json:
        there: dict[str, Any] = github.get(PERMISSIONS)
        if there.get("allowed_actions") == "selected":
            there |= github.get(selected)
        return there | {"patterns_allowed": sorted(there.get("patterns_allowed") or ())}

    def write(github: GitHub, _: Json | None) -> None:
        github.send("PUT", PERMISSIONS, {key: wanted[key] for key in first})
        github.send("PUT", selected, {key: value for key, value in wanted.items() if key not in first})

    return Setting("actions", wanted, read, write)


def _public(config: RepositoryConfig) -> tuple[Setting, ...]:
    """Return what GitHub offers to public repositories only."""
    reports, approval = "private-vulnerability-reporting", {"approval_policy": config.fork_approval}
    return (
        _at("forks", f"{PERMISSIONS}/fork-pr-contributor-approval", approval),
        Setting("private reports", {"enabled": True}, lambda g: g.get(reports), lambda g, _: g.send("PUT", reports)),
    )


def _private_forks() -> Setting:
    path, run = f"{PERMISSIONS}/fork-pr-workflows-private-repos", "run_workflows_from_fork_pull_requests"

    def write(github: GitHub, there: Json | None) -> None:
        github.send(
            "PUT", path, {run: (there or {}).get(run, False), **PRIVATE_FORKS}
        )  # whether they run stays as it is

    return Setting("forks", PRIVATE_FORKS, lambda g: g.get(path), write)


def _named(kind: str, folder: str, name: str, wanted: Json) -> Setting:
    """Return a variable or a label."""
    path = f"{folder}/{quote(name, safe='')}"

    def write(github: GitHub, there: Json | None) -> None:
        if there is None:
            github.send("POST", folder, {"name": name, **wanted})
        else:
            github.send("PATCH", path, dict(wanted))

    return Setting(f"{kind} {name}", wanted, lambda g: g.find(path), write)


def _environment(wanted: Environment) -> Setting:
    path = f"environments/{wanted.name}"

    def write(github: GitHub, there: Json | None) -> None:
        kept = {key: there[key] for key in ("wait_timer", "prevent_self_review")} if there else {}
        policy = None if wanted.places is None else {"protected_branches": False, "custom_branch_policies": True}
        reviewers = [_reviewer(github, name) for name in wanted.reviewers]
        github.send("PUT", path, {"reviewers": reviewers, "deployment_branch_policy": policy, **kept})
        _write_places(github, path, wanted.places, there["ids"] if there else {})

    names = sorted(name.rpartition("/")[2].lower() for name in wanted.reviewers)
    places = None if wanted.places is None else sorted(" ".join(place) for place in wanted.places)
    return Setting(path, {"reviewers": names, "entered from": places}, lambda g: _read_environment(g, path), write)


def _read_environment(github: GitHub, path: str) -> Json | None:
    there = github.find(path)
    if there is None:
        return None
    rules = {rule["type"]: rule for rule in there.get("protection_rules", ())}
    asked, limited = rules.get("required_reviewers", {}), there.get("deployment_branch_policy")
    custom = bool(limited) and limited["custom_branch_policies"]
    listed = github.pages(f"{path}/deployment-branch-policies", "branch_policies") if custom else []
    ids = {f"{each.get('type', 'branch')} {each['name']}": each["id"] for each in listed}
    return {
        "reviewers": sorted(each["reviewer"][KINDS[each["type"]]].lower() for each in asked.get("reviewers", ())),
        "entered from": sorted(ids) if custom else limited and "protected branches",
        "ids": ids,
        # kept as they are: whoever set them had a reason
        "wait_timer": rules.get("wait_timer", {}).get("wait_timer", 0),
        "prevent_self_review": asked.get("prevent_self_review", False),
    }


def _write_places(github: GitHub, path: str, places: tuple[tuple[str, str], ...] | None, ids: dict[str, int]) -> None:
    """Make the branches and tags from which an environment may be entered exactly `places`."""
    if places is None:
        return  # the environment itself says that there is no limit
    policies = f"{path}/deployment-branch-policies"
    for kind, pattern in places:
        if f"{kind} {pattern}" not in ids:
            github.send("POST", policies, {"type": kind, "name": pattern})
    for place in ids.keys() - {" ".join(place) for place in places}:
        github.send("DELETE", f"{policies}/{ids[place]}")


def _reviewer(github: GitHub, name: str) -> dict[str, Any]:
    """Return type and id of a login or organisation/team that may read the repository. Raises CannotTell for others."""
    organisation, _, team = name.rpartition("/")
    if not organisation:
        found = github.find(f"collaborators/{name}/permission")
        if found is None or found["permission"] == "none":
            raise CannotTell(f"{name} has no access to {github.repo}: mend configs/repository.yaml, or invite them")
        return {"type": "User", "id": found["user"]["id"]}
    teams = {each["slug"].lower(): each["id"] for each in github.pages("teams")}
    if organisation.lower() != github.repo.split("/")[0].lower() or team.lower() not in teams:
        raise CannotTell(f"{name} is no team with access to {github.repo}: mend configs/repository.yaml, or add it")
    return {"type": "Team", "id": teams[team.lower()]}


def _ruleset(wanted: Ruleset) -> Setting:
    bound: dict[str, Any] = {"target": wanted.target, "enforcement": "active", "bypass_actors": []}
    where = {"include": [wanted.include], "exclude": []}
    rules = [{"type": kind, **({"parameters": given} if given else {})} for kind, given in wanted.rules.items()]

    def read(github: GitHub) -> Json | None:
        listed = github.pages("rulesets?includes_parents=false")
        number = next((each["id"] for each in listed if each["name"] == wanted.name), None)
        if number is None:
            return None
        there = github.get(f"rulesets/{number}")
        found = {rule["type"]: rule.get("parameters") or {} for rule in there["rules"]}
        others = sorted(found.keys() - wanted.rules.keys())
        return {**there, **there["conditions"]["ref_name"], "rules": found, "other rules": others}

    def write(github: GitHub, there: Json | None) -> None:
        body = {"name": wanted.name, **bound, "conditions": {"ref_name": where}, "rules": rules}
        method, path = ("POST", "rulesets") if there is None else ("PUT", f"rulesets/{there['id']}")
        github.send(method, path, body)

    shape = {**bound, **where, "rules": wanted.rules, "other rules": []}
    return Setting(f"ruleset {wanted.name}", shape, read, write)
