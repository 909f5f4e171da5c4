"""What a line of the audit log says: one answer, as drift and A/B reports read it, or how the log itself fared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter
from pydantic_core import PydanticSerializationError

from textgate.records import Count, Record, Sha256, Share

Moment = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]


def utc(seconds: float) -> str:
    """Return a time, in seconds since 1970, as 2026-11-21T15:40:35.123Z. Sorted as text, it is sorted by time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


class Event(Record):
    """One text, asked once and answered by one model."""

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
ENTRY: TypeAdapter[Event | Started | Recovered | Resumed] = TypeAdapter(Entry)


def as_json(entry: Event | Started | Recovered | Resumed) -> bytes:
    """Return an entry as JSON. Half a character (a lone surrogate), which UTF-8 lacks, becomes a question mark."""
    try:
        return entry.model_dump_json().encode()
    except PydanticSerializationError:
        whole = {name: value.encode("utf-8", "replace").decode() for name, value in entry if isinstance(value, str)}
        return entry.model_copy(update=whole).model_dump_json().encode()
