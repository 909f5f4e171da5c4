"""configs/serve.yaml: every number of the service."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from textgate.records import Count, NoNul, Positive, Record, Share
from textgate.serve.access.settings import AccessConfig
from textgate.serve.audit.settings import AuditConfig

HOUR = 3600  # nobody waits longer; who writes milliseconds is told so
Seconds = Annotated[FiniteFloat, Field(gt=0, le=HOUR)]
WholeSeconds = Annotated[int, Field(ge=1, le=HOUR)]


def _is_host(host: str) -> str:
    """Refuse what would mean every address of the machine without saying so, and what no resolver takes."""
    if not host.strip() or "\0" in host or not host.isascii():
        raise ValueError("name an address of this machine, such as 127.0.0.1; 0.0.0.0 means all of them")
    return host


def _is_network(proxy: str) -> str:
    """Refuse what would be believed of nobody (a typing error), or of everybody (`*`)."""
    try:
        ip_network(proxy)
    except ValueError:
        raise ValueError("must be an address or a network, such as 10.0.0.7 or 10.0.0.0/8") from None
    return proxy


class ModelsConfig(Record):
    """Which folders are served: what `registry.py fetch` left, a link to it, or a plain bundle."""

    champion: NoNul
    challenger: NoNul | None
    check_seconds: Seconds  # how often they are looked at for another model


class Listen(Record):
    """Where, and how long a client may take."""

    host: Annotated[str, AfterValidator(_is_host)]
    port: Annotated[int, Field(ge=0, le=65535)]
    workers: Annotated[int, Field(ge=1, le=256)]  # each a process with a model of its own
    proxies: tuple[Annotated[str, AfterValidator(_is_network)], ...]  # addresses whose X-Forwarded-For is believed
    connections: Positive  # at once, for each worker; the next one is told to come again
    header_bytes: Positive  # of the request line and all headers
    header_seconds: Seconds
    body_seconds: Seconds
    keep_alive_seconds: WholeSeconds
    notice_seconds: Seconds  # from SIGTERM, and /ready saying no, until nobody is let in any more
    drain_seconds: WholeSeconds


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
    seconds: Seconds
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
