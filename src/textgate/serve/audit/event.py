"""What a line of the audit log says: one answer, as drift and A/B reports read it, or how the log itself fared."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from textgate.records import Count, Record, Sha256, Share

Moment = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One text, asked once and answered by one model. Checked when it is read, not for each answer that is given."""

    __pydantic_config__: ClassVar[ConfigDict] = Record.model_config

    kind: Literal["answer"] = "answer"
    at: Moment
    request_id: str
    number: Count  # of the text in its request
    client: str
    endpoint: Literal["predict", "explain"]
    variant: Literal["champion", "challenger"]
    shadow: bool  # the challenger was asked and nobody saw its answer
    model_version: str
    model_digest: Sha256
    label: str
    confidence: Share
    text_sha256: Sha256
    characters: Count
    words: Count
    unknown_share: Share  # of the tokens or n-grams
    text: str | None  # dropped by the log unless configs/serve.yaml says that texts are kept


class Started(Record):
    """A server process took this slot."""

    kind: Literal["started"] = "started"
    at: Moment
    process: Count


class Recovered(Record):
    """A kill or a power cut had left half a line; it was cut off and lies in a file of its own."""

    kind: Literal["recovered"] = "recovered"
    at: Moment
    segment: str
    torn: str  # the file
    torn_bytes: Count
    torn_sha256: Sha256


class Resumed(Record):
    """The log could not be written, so nothing was answered, and now it can."""

    kind: Literal["resumed"] = "resumed"
    at: Moment
    reason: str
    turned_away: Count  # texts


Entry = Annotated[Event | Started | Recovered | Resumed, Field(discriminator="kind")]
EVENT = TypeAdapter(Event)
ENTRY: TypeAdapter[Event | Started | Recovered | Resumed] = TypeAdapter(Entry)


def as_json(entry: Event | Started | Recovered | Resumed) -> bytes:
    """Return an entry as JSON. Half a character (a lone surrogate), which UTF-8 lacks, becomes a question mark."""
    if not isinstance(entry, Event):
        return entry.model_dump_json().encode()
    try:
        return EVENT.serializer.to_json(entry)
    except PydanticSerializationError:
        return to_json({field.name: _whole(getattr(entry, field.name)) for field in fields(entry)})


def _whole(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
