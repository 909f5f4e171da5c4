"""POST /token: OAuth2 password grant (RFC 6749, 4.3) for trying the service on one's own machine."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse

from textgate.serve.access.client import Client, address_of
from textgate.serve.access.passwords import MAX_CHARACTERS, User, read_users, user_of
from textgate.serve.access.rate import Buckets
from textgate.serve.access.settings import Algorithm, Demo
from textgate.serve.access.tokens import Tokens
from textgate.serve.access.watched import Watched
from textgate.serve.problems import Problem

ISSUER, AUDIENCE, KID = "textgate-demo", "textgate", "demo"
ALGORITHM: Algorithm = "EdDSA"
MAX_BODY = 8192  # a name, a password of 256 characters, each up to 12 bytes when encoded, and some words
NO_STORE = {"Cache-Control": "no-store"}  # RFC 6749, 5.1
FORM = {
    "type": "object",
    "required": ["grant_type", "username", "password"],
    "properties": {
        "grant_type": {"type": "string", "enum": ["password"]},
        "username": {"type": "string"},
        "password": {"type": "string", "format": "password", "maxLength": MAX_CHARACTERS},
        "scope": {"type": "string", "description": "words with spaces between them; left out: all that the user has"},
    },
}


class _Wrong(Exception):
    """An error code of RFC 6749, 5.2."""


class PasswordGrant:
    """Gives tokens for passwords, and knows them again."""

    def __init__(self, config: Demo) -> None:
        """Read the users and make a key. Raises CannotTell for a missing or broken file."""
        self._config = config
        self._users = Watched(Path(config.file), read_users)
        self._tries = Buckets(config.tries)
        self._key = Ed25519PrivateKey.generate()
        self._one_at_a_time = asyncio.Lock()  # each try takes 32 MiB
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._public = jwt.PyJWK(public, ALGORITHM)
        self._tokens = Tokens(ISSUER, AUDIENCE, (ALGORITHM,), leeway_seconds=0, find=self._find)

    async def _find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that was made at start: after a restart no older token is taken."""
        return self._public if (kid, algorithm) == (KID, ALGORITHM) else None

    async def client_of(self, token: str) -> Client:
        """Return who shows this token. Raises Denied."""
        return await self._tokens.client_of(token)

    def routes(self) -> APIRouter:
        """Return POST /token."""
        router = APIRouter()
        router.add_api_route(
            "/token",
            self._token,
            methods=["POST"],
            tags=["access"],
            summary="A token for a password (demo)",
            openapi_extra={"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": FORM}}}},
            responses={400: {"description": "Refused, as RFC 6749, 5.2 says"}, 413: {}, 429: {}},
        )
        return router

    async def _token(self, request: Request) -> JSONResponse:
        self._tries.check(address_of(request.scope), time.monotonic())
        try:
            form = await _form(request)
            async with self._one_at_a_time:
                user = await asyncio.to_thread(user_of, self._users.current(), form["username"], form["password"])
            return JSONResponse(self._made(user, form.get("scope")), headers=NO_STORE)
        except _Wrong as error:
            return JSONResponse({"error": str(error)}, 400, NO_STORE)

    def _made(self, user: User | None, asked: str | None) -> dict[str, Any]:
        if user is None:
            raise _Wrong("invalid_grant")
        scopes = list(user.scopes) if asked is None else asked.split()
        if not set(scopes) <= set(user.scopes):
            raise _Wrong("invalid_scope")
        now, lives = int(time.time()), self._config.token_minutes * 60
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user.name, "iat": now, "nbf": now, "exp": now + lives}
        token = jwt.encode({**claims, "scope": " ".join(scopes)}, self._key, ALGORITHM, {"kid": KID, "typ": "at+jwt"})
        return {"access_token": token, "token_type": "Bearer", "expires_in": lives, "scope": " ".join(scopes)}


async def _form(request: Request) -> dict[str, str]:
    """Return the fields, each at most once (RFC 6749, 3.2). Raises _Wrong, and Problem 413."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise Problem(413, f"A request for a token has up to {MAX_BODY} bytes.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise _Wrong("invalid_request")
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10)
    except ValueError:
        raise _Wrong("invalid_request") from None
    if any(len(values) > 1 for values in fields.values()) or not {"username", "password"} <= fields.keys():
        raise _Wrong("invalid_request")
    if fields.get("grant_type") != ["password"]:
        raise _Wrong("unsupported_grant_type")
    return {name: value for name, (value,) in fields.items()}
