"""Who may ask for what: the dependency that every guarded endpoint has."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Security
from fastapi.security import APIKeyHeader, HTTPBearer, OAuth2PasswordBearer
from starlette.requests import Request

from textgate.errors import Refused
from textgate.serve.access.client import Client, Denied, address_of, only
from textgate.serve.access.demo import PasswordGrant
from textgate.serve.access.jwks import FileKeys, UrlKeys
from textgate.serve.access.keys import HEADER, client_of, read_keys
from textgate.serve.access.rate import Buckets
from textgate.serve.access.settings import SCOPES, AccessConfig, Jwt, Keys, Scope
from textgate.serve.access.tokens import Tokens, shown_token
from textgate.serve.access.watched import Watched
from textgate.serve.problems import Problem

log = logging.getLogger("textgate.access")
ALL = frozenset(SCOPES)
Guard = Callable[..., Awaitable[Client]]
Identify = Callable[[Request], Awaitable[Client]]


@dataclass(frozen=True)
class _Door:
    """One kind of `access.clients`: how it stands in OpenAPI, its challenge (RFC 9110, 11.6.1), and its check."""

    scheme: Callable[..., Any]
    challenge: str
    identify: Identify


def check_start(config: AccessConfig, host: str, workers: int) -> None:
    """Raise Refused if the demo would be open to others, or would forget its tokens from process to process."""
    if config.clients.kind != "demo":
        return
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise Refused(
            f"access.clients.kind demo and listen.host {host}: passwords would cross the network: listen on 127.0.0.1, "
            "or take keys or jwt"
        )
    if workers > 1:
        raise Refused("access.clients.kind demo and listen.workers above 1: each worker has a key of its own: take 1")


class Access:
    """The section `access` of the configuration, at work."""

    def __init__(self, config: AccessConfig) -> None:
        """Read the files of keys or users. Raises CannotTell for a missing or broken one."""
        self._config = config
        self._buckets = Buckets(config.rate) if config.rate else None
        clients = config.clients
        self._grant = PasswordGrant(clients) if clients.kind == "demo" else None
        self._door: _Door | None = None  # off
        if self._grant:
            scheme = OAuth2PasswordBearer("token", scopes=dict.fromkeys(SCOPES, ""), auto_error=False)
            self._door = _bearer(scheme, self._grant.client_of)
        elif isinstance(clients, Jwt):
            self._door = _bearer(HTTPBearer(bearerFormat="JWT", auto_error=False), _tokens(clients).client_of)
        elif isinstance(clients, Keys):
            self._door = _keys(clients)

    def routes(self) -> APIRouter | None:
        """Return POST /token of the demo."""
        return self._grant.routes() if self._grant else None

    def guard(self, scope: Scope) -> Guard:
        """Return a FastAPI dependency for an endpoint: `predict`, `explain`, or `admin`, which guards /metrics.

        It sets request.state.client and raises Problem 401, 403, 429, 503, or 404 for what is closed.
        """
        if scope == "explain" and self._config.explain == "closed":
            return _closed
        if scope == "admin" and self._config.metrics == "open":
            return _anybody
        needed: Scope = "predict" if scope == "explain" and self._config.explain == "open" else scope
        if self._door is None:

            async def unnamed(request: Request) -> Client:
                return self._admit(request, needed, _by_address(request), "")

            return unnamed
        door = self._door
        declared = Security(door.scheme, scopes=[needed])

        async def named(request: Request, _declared: Any = declared) -> Client:
            return self._admit(request, needed, await _identified(request, door), door.challenge)

        return named

    def _admit(self, request: Request, needed: Scope, client: Client, challenge: str) -> Client:
        request.state.client = client
        if self._buckets is not None:
            self._buckets.check(client.name, time.monotonic())
        if needed not in client.scopes:
            log.warning("not let in: %s has no scope %s", client.name, needed, extra=_which(request))
            headers = {"WWW-Authenticate": f'{challenge}, error="insufficient_scope", scope="{needed}"'}  # RFC 6750, 3
            raise Problem(403, f"This needs the scope {needed}.", headers)
        return client


def _which(request: Request) -> dict[str, str]:
    return {"request_id": getattr(request.state, "request_id", "")}  # the envelope gives it, if there is one


def _bearer(scheme: Callable[..., Any], client_of_token: Callable[[str], Awaitable[Client]]) -> _Door:
    async def identify(request: Request) -> Client:
        return await client_of_token(shown_token(only(request, "Authorization")))

    return _Door(scheme, 'Bearer realm="textgate"', identify)


def _tokens(config: Jwt) -> Tokens:
    keys = UrlKeys(config) if "://" in config.jwks else FileKeys(config)
    return Tokens(config.issuer, config.audience, config.algorithms, config.leeway_seconds, keys.find)


def _keys(config: Keys) -> _Door:
    file = Watched(Path(config.file), read_keys)

    async def identify(request: Request) -> Client:
        return client_of(file.current(), only(request, HEADER), datetime.now(UTC))

    return _Door(APIKeyHeader(name=HEADER, auto_error=False), 'ApiKey realm="textgate"', identify)


async def _identified(request: Request, door: _Door) -> Client:
    try:
        return await door.identify(request)
    except Denied as reason:
        log.warning("not let in: %s, from %s", reason, address_of(request.scope), extra=_which(request))
        raise Problem(401, "Valid credentials are needed.", {"WWW-Authenticate": door.challenge}) from None


def _by_address(request: Request) -> Client:
    return Client(address_of(request.scope), ALL)


async def _anybody(request: Request) -> Client:
    """Let everybody in, at any rate: whoever watches the service must see it when it is busy."""
    request.state.client = client = _by_address(request)
    return client


async def _closed(_request: Request) -> Client:
    raise Problem(404, "This service does not explain.")
