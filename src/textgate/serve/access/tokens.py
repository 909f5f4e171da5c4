"""OAuth2 bearer tokens: JSON Web Tokens (RFC 7519, 8725, 9068) into clients, by PyJWT."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jwt

from textgate.serve.access.client import Client, Denied
from textgate.serve.access.settings import SCOPES, Algorithm

MAX_CHARACTERS = 8192  # a token of an ordinary issuer has 1,000 to 2,000; servers refuse headers beyond 8 to 64 kB
BEARER = re.compile(r"bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.IGNORECASE)  # RFC 9110, 11.1
TYPES = ("jwt", "at+jwt", "application/at+jwt")  # other tokens of the same issuer are not for us (RFC 8725, 3.11)


def shown_token(header: str) -> str:
    """Return the token of an Authorization header. Raises Denied."""
    if len(header) > MAX_CHARACTERS:
        raise Denied("token is too long")
    found = BEARER.fullmatch(header)
    if found is None:
        raise Denied("not a bearer token")
    return found[1]


Find = Callable[[str, str], Awaitable[jwt.PyJWK | None]]  # a public key by kid and algorithm


@dataclass(frozen=True)
class Tokens:
    """What tokens must say, and where the keys are."""

    issuer: str
    audience: str
    algorithms: tuple[Algorithm, ...]
    leeway_seconds: int
    find: Find

    async def client_of(self, token: str) -> Client:
        """Return who shows this token. Raises Denied, and Problem 503 if the issuer's keys can't be had.

        Of the header only `alg` and `kid` are used, to look a key up; `jku`, `x5u`, `jwk` and `x5c` are not read.
        """
        try:
            header = jwt.get_unverified_header(token)
            claims = self._claims(token, await self._key(header))
        except jwt.PyJWTError as error:
            raise Denied(type(error).__name__) from None  # its text may quote the token
        if "cnf" in claims:  # RFC 7800: whoever shows it must prove to hold a key, which can't be done here
            raise Denied("token is bound to its sender")
        name = claims["sub"]
        if not (0 < len(name) <= 200 and name.isprintable()):
            raise Denied("subject is not a name")
        return Client(name, frozenset(scope for scope in SCOPES if scope in _scopes(claims)))

    async def _key(self, header: dict[str, Any]) -> jwt.PyJWK:
        kid, algorithm = header.get("kid"), header.get("alg")
        if str(header.get("typ", "jwt")).lower() not in TYPES:
            raise Denied("not an access token")
        if algorithm not in self.algorithms:
            raise Denied("algorithm is not allowed")
        key = await self.find(kid, algorithm) if isinstance(kid, str) else None
        if key is None:
            raise Denied("unknown kid")
        return key

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        """Return what a token says. `nbf` counts where it stands; many issuers leave it out (RFC 9068 does not ask)."""
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self.issuer,
            audience=self.audience,
            leeway=self.leeway_seconds,
            options={"require": ["exp", "iat", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
        )


def _scopes(claims: dict[str, Any]) -> list[Any]:
    """Return `scope` (RFC 8693, 4.2) or, where that is missing, `scp`: words with spaces between them, or a list."""
    said = claims.get("scope", claims.get("scp", ""))
    if isinstance(said, str):
        return said.split(" ")
    return said if isinstance(said, list) else []
