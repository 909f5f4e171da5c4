"""The base of every evidence file: a strict, frozen type with a schema version, read back through itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, ValidationError

from textgate.errors import CannotTell
from textgate.files import read_text, write_text

BUILD = Path("build")
Outcome = Literal["passed", "refused", "unknown"]
EXIT_CODES: dict[Outcome, int] = {"passed": 0, "refused": 1, "unknown": 2}
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
NoNul = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]  # no file has a name with NUL
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[FiniteFloat, Field(gt=0)]


def _is_commit(revision: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError(f"must be a commit's 40 hexadecimal digits, not {revision[:80]!r}")
    return revision


Commit = Annotated[str, AfterValidator(_is_commit)]


class Record(BaseModel):
    """Base of everything that is read back from a file: strict, frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Evidence(Record):
    """A whole evidence file."""

    schema_version: Literal[1] = 1


AnyEvidence = TypeVar("AnyEvidence", bound=Evidence)


def read(path: Path, kind: type[AnyEvidence], stage: str) -> AnyEvidence:
    """Read an evidence file through its type. Raises CannotTell if it is missing, too large or of another shape."""
    text = read_text(path, f'run "make {stage}" first')
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise CannotTell(f'{path}: {where}: {first["msg"]}: run "make {stage}" again') from error


def write(path: Path, evidence: Evidence) -> None:
    """Write an evidence file as indented JSON, atomically."""
    write_text(path, evidence.model_dump_json(indent=1) + "\n")
