"""The section `access` of configs/serve.yaml."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from textgate.records import NoNul, Positive, Record

Scope = Literal["predict", "explain", "admin"]
SCOPES: tuple[Scope, ...] = ("predict", "explain", "admin")
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]


def _https_or_file(place: str) -> str:
    """Refuse an address that somebody on the way could change, or that holds a password."""
    if "://" in place:
        parts = urlsplit(place)
        if parts.scheme != "https" or not parts.hostname or parts.port == 0:  # `port` raises what is no port, too
            raise ValueError("must be an https address, or a file")
        if parts.username is not None:
            raise ValueError("must not hold a user or a password")
    return place


class Rate(Record):
    """A token bucket for each client: so many requests a second on average, so many at once."""

    per_second: Annotated[FiniteFloat, Field(ge=0.00001)]  # about one a day
    burst: Positive
    clients: Positive  # so many buckets are remembered; beyond that the one unused longest starts full again


class Off(Record):
    """Everybody may ask everything but what is `closed`; clients are told apart by address."""

    kind: Literal["off"]


class Keys(Record):
    """API keys in the header X-API-Key; the file holds their hashes."""

    kind: Literal["keys"]
    file: NoNul


class Jwt(Record):
    """OAuth2 bearer tokens, signed by somebody else."""

    kind: Literal["jwt"]
    issuer: NoNul
    audience: NoNul
    jwks: Annotated[NoNul, AfterValidator(_https_or_file)]
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)]
    leeway_seconds: Annotated[int, Field(ge=0, le=300)]  # clocks differ; also how long a token lives past its end
    refresh_seconds: Annotated[int, Field(ge=60)]  # keys from an address are asked for again after this
    keep_seconds: Positive  # if they can't be had, the ones at hand are trusted for so long

    @model_validator(mode="after")
    def _in_order(self) -> Jwt:
        if self.keep_seconds < self.refresh_seconds:
            raise ValueError("keep_seconds must not be below refresh_seconds")
        return self


class Demo(Record):
    """OAuth2 password grant against a file of users, on this machine only: to try the page and the docs."""

    kind: Literal["demo"]
    file: NoNul
    token_minutes: Annotated[int, Field(ge=1, le=60)]
    tries: Rate  # of a password, for each address


class AccessConfig(Record):
    """Who may ask."""

    clients: Annotated[Off | Keys | Jwt | Demo, Field(discriminator="kind")]
    metrics: Literal["open", "admin"]
    explain: Literal["open", "explain", "closed"]  # open: whoever may predict
    rate: Rate | None

    @model_validator(mode="after")
    def _somebody_can_be_told(self) -> AccessConfig:
        if self.clients.kind == "off" and (self.metrics == "admin" or self.explain == "explain"):
            raise ValueError("with clients.kind off nobody has a scope: metrics must be open, explain open or closed")
        return self
