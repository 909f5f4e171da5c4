"""configs/serve.yaml: every number of the service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from textgate.records import Above0, Count, Positive, Record, Share
from textgate.serve.access.settings import AccessConfig
from textgate.serve.audit.settings import AuditConfig

Folder = Annotated[str, StringConstraints(min_length=1)]


class ModelsConfig(Record):
    """Which folders are served: what `registry.py fetch` left, a link to it, or a plain bundle."""

    champion: Folder
    challenger: Folder | None
    check_seconds: Above0  # how often they are looked at for another model


class Listen(Record):
    """Where, and how long a client may take."""

    host: str
    port: Annotated[int, Field(ge=0, le=65535)]
    workers: Positive
    proxies: tuple[str, ...]  # addresses whose X-Forwarded-For is believed
    connections: Positive  # at once, for each worker; the next one is told to come again
    header_bytes: Positive  # of the request line and all headers
    header_seconds: Above0
    body_seconds: Above0
    keep_alive_seconds: Positive
    notice_seconds: Above0  # from SIGTERM, and /ready saying no, until nobody is let in any more
    drain_seconds: Positive


class Limits(Record):
    """What one request may hold, and how much may wait."""

    texts: Positive
    characters: Positive
    body_bytes: Positive
    queue_texts: Positive
    wait_ms: Positive  # longer than this nobody is let in to wait


class Lanes(Record):
    """How one kind of model is run: so many texts at once in a batch, so many batches side by side (0: a core each)."""

    batch: Positive
    lanes: Count
    inline_characters: Count  # a batch of no more is run on the event loop's own thread


class Batching(Record):
    """Lanes for each kind."""

    tfidf: Lanes
    transformer: Lanes
    ensemble: Lanes


class ExplainConfig(Record):
    """Limits of /explain: it asks the model many times for one text."""

    evaluations: Positive
    characters: Positive
    seconds: Above0
    at_once: Positive


class Split(Record):
    """Who is answered by the challenger."""

    kind: Literal["none", "split", "shadow"]
    share: Share
    by: Literal["client", "request"]

    @model_validator(mode="after")
    def _some(self) -> Split:
        if self.kind != "none" and self.share == 0:
            raise ValueError("share must be above 0, or kind none")
        return self


class ServeConfig(Record):
    """The whole file."""

    models: ModelsConfig
    listen: Listen
    limits: Limits
    batching: Batching
    explain: ExplainConfig
    split: Split
    access: AccessConfig
    audit: AuditConfig

    @model_validator(mode="after")
    def _somebody_to_compare(self) -> ServeConfig:
        if self.split.kind != "none" and self.models.challenger is None:
            raise ValueError("split needs models.challenger: name one, or take kind none")
        return self
