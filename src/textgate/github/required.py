"""The one required check: every job that this run needed came through, and nothing that it needed was left out."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from textgate.errors import CannotTell, Refused
from textgate.github.jobs import ALWAYS, MODEL


class Need(BaseModel):
    """One entry of the `needs` context."""

    model_config = ConfigDict(strict=True, frozen=True)

    result: str  # success, failure, cancelled or skipped
    outputs: dict[str, str] | None = None


def read_needs(text: str) -> dict[str, Need]:
    """Read toJSON(needs). Raises CannotTell for anything else."""
    try:
        return TypeAdapter(dict[str, Need]).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the value"
        raise CannotTell(f"NEEDS: {where}: {first['msg']}: give the needs context, toJSON(needs)") from error


def required(needs: Mapping[str, Need], gate: str) -> str:
    """Return the sentence of a run that may be merged; `gate` is the outcome of the gate's own step.

    Raises Refused if a job failed, CannotTell if one is missing, was skipped or cancelled without a reason.
    """
    if missing := [name for name in (*ALWAYS, *MODEL) if name not in needs]:
        raise CannotTell(
            f"the job {missing[0]} is not among the needs of this check: add it in .github/workflows/ci.yml"
        )
    results = {name: need.result for name, need in needs.items()} | {"the verdict": gate}
    if failed := [name for name, result in results.items() if result == "failure"]:
        raise Refused(f"did not pass: {', '.join(failed)}; the pull request's comment says why")
    changed = (needs["plan"].outputs or {}).get("changed")
    if changed not in ("true", "false"):
        raise CannotTell("plan did not say whether a model has to be made: look at its log")
    train = changed == "true"
    wanted = dict.fromkeys(ALWAYS, "success") | dict.fromkeys(
        (*MODEL, "the verdict"), "success" if train else "skipped"
    )
    if odd := [name for name, result in wanted.items() if results[name] != result]:
        raise CannotTell(
            f"{odd[0]} is {results[odd[0]] or 'without a result'} where {wanted[odd[0]]} is needed: run it again"
        )
    return "every job passed" if train else "nothing that makes or judges a model changed, so none was trained"
