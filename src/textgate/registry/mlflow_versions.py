"""What MLflow holds about releases into typed values: versions, which aliases they have, and events."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textgate.errors import CannotTell
from textgate.records import Commit, Sha256
from textgate.registry.history import Event, Version
from textgate.registry.mlflow_store import MODEL

CHAMPION, CHALLENGER = "champion", "challenger"
EVENT = re.compile(r"event\.[0-9]{6,}\.[0-9a-f]{8}")
PAGE = 1000


class RawVersion(NamedTuple):
    """A model version as MLflow has it, whoever registered it."""

    number: int  # MLflow's own
    run_id: str | None
    tags: Mapping[str, str]


class Kept(BaseModel):
    """A model version that textgate registered. Its tags were written in one transaction with it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    number: Annotated[int, Field(ge=1)]  # MLflow's own
    run_id: str
    version: Version
    state: Literal["complete", "retired"]
    bundle_digest: Sha256
    sums: Sha256  # of SHA256SUMS, and so of all files
    judged_commit: Commit


@dataclass(frozen=True)
class Shelf:
    """Everything that MLflow holds about releases, at one moment; versions oldest first."""

    versions: tuple[Kept, ...]
    champion: str | None
    challenger: str | None
    events: tuple[Event, ...]
    keys: frozenset[str]  # of the events

    def find(self, version: str) -> Kept | None:
        """Return a version. Of two with one name, which no lock prevents on a server, the first one counts."""
        return next((kept for kept in self.versions if kept.version == version), None)


def read_shelf(client: Any) -> Shelf:
    """Read it. Raises CannotTell for what textgate cannot have written."""
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return Shelf((), None, None, (), frozenset())
        raise
    return to_shelf(model.aliases, model.tags, _versions(client))


def to_shelf(aliases: Mapping[str, int | str], tags: Mapping[str, str], versions: Iterable[RawVersion]) -> Shelf:
    """Return aliases, tags and versions as a shelf. Raises CannotTell for what textgate cannot have written."""
    ours = (_kept(raw) for raw in versions if "sums" in raw.tags)  # others are not of textgate
    kept = tuple(sorted(ours, key=lambda kept: kept.number))
    names = {one.number: one.version for one in kept}
    found = {}
    for alias in (CHAMPION, CHALLENGER):
        number = aliases.get(alias)
        if number is not None and int(number) not in names:
            raise CannotTell(f"MLflow's alias {alias} is on version {number}, which textgate did not register: move it")
        found[alias] = None if number is None else names[int(number)]
    keys = frozenset(key for key in tags if EVENT.fullmatch(key))
    events = tuple(_event(key, tags[key]) for key in sorted(keys))
    return Shelf(kept, found[CHAMPION], found[CHALLENGER], events, keys)


def event_key(event: Event) -> str:
    """Return a name for an event that no other process chooses too."""
    return f"event.{event.number:06}.{secrets.token_hex(4)}"


def _versions(client: Any) -> Iterator[RawVersion]:
    token = None
    while True:
        page = client.search_model_versions(f"name='{MODEL}'", max_results=PAGE, page_token=token)
        yield from (RawVersion(int(raw.version), raw.run_id, raw.tags) for raw in page)
        token = page.token
        if not token:
            return


def _kept(raw: RawVersion) -> Kept:
    try:
        return Kept.model_validate({**raw.tags, "number": raw.number, "run_id": raw.run_id})
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
        raise CannotTell(f"version {raw.number} in MLflow has another {where} than textgate writes: mend it") from error


def _event(key: str, text: str) -> Event:
    try:
        return Event.model_validate_json(text)
    except ValidationError as error:
        raise CannotTell(f"the tag {key} of the model in MLflow is not as textgate writes it: mend it") from error
