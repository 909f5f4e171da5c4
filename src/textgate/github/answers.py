"""GitHub's answers into typed values: the few fields that are needed, of the many that come."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from textgate.errors import CannotTell
from textgate.report.markdown import visible

Kind = TypeVar("Kind")


class Answered(BaseModel):
    """Base of what is read from an answer; other fields are left alone."""

    model_config = ConfigDict(frozen=True)


def understood(kind: type[Kind], answer: Any, what: str) -> Kind:
    """Return an answer as its type. Raises CannotTell that names `what` it was about."""
    try:
        return TypeAdapter(kind).validate_python(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = visible(".".join(map(str, first["loc"])) or "the answer", 80)
        raise CannotTell(f"GitHub describes {what} in an unexpected way: {where}: {first['msg']}") from error
