"""Public keys of whoever signs tokens (RFC 7517), from a file or an https address."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

import jwt

from textgate.errors import CannotTell
from textgate.files import read_text
from textgate.serve.access.settings import Jwt
from textgate.serve.access.watched import Watched
from textgate.serve.problems import Problem

AGAIN_SECONDS = 60  # an unknown kid makes us ask again, but whoever sends many makes us ask no more often
FETCH_SECONDS = 5  # issuers answer in tenths of a second; meanwhile nobody with a known key waits
MAX_BYTES = 1 << 20  # issuers publish a few keys of some hundred bytes
log = logging.getLogger("textgate.access")
PublicKeys = Mapping[tuple[str, str], jwt.PyJWK]  # by kid and algorithm


def public_keys(text: bytes | str, algorithms: Iterable[str]) -> PublicKeys:
    """Return the keys that may verify tokens. Raises CannotTell if there is none, or one that nobody should see.

    A key is bound to the algorithms that it says or, if it says none, to those of ours that suit its type. So what a
    token says never decides how a key is used, and a symmetric key is never one of them.
    """
    try:
        listed = json.loads(text)["keys"]
        keys = [key for key in listed if isinstance(key, dict)]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise CannotTell("not a JSON Web Key Set") from None
    if any("d" in key for key in keys):
        raise CannotTell("holds a private key: take it out of service, and publish public keys only")
    found: dict[tuple[str, str], jwt.PyJWK] = {}
    for key in keys:
        kid = key.get("kid")
        if not isinstance(kid, str) or key.get("use", "sig") != "sig":
            continue
        for algorithm in algorithms:
            if key.get("alg", algorithm) == algorithm and (made := _made(key, algorithm)):
                found.setdefault((kid, algorithm), made)
    if not found:
        raise CannotTell("holds no key with a kid that suits the algorithms")
    return found


def _made(key: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
    try:
        return jwt.PyJWK(key, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):  # of another type, or broken
        return None


class FileKeys:
    """Keys in a file, read again when it changes."""

    def __init__(self, config: Jwt) -> None:
        """Read it. Raises CannotTell for a missing or broken one."""

        def read(path: Path) -> PublicKeys:
            text = read_text(path, "save the issuer's key set there")
            try:
                return public_keys(text, config.algorithms)
            except CannotTell as error:
                raise CannotTell(f"{path}: {error}") from None

        self._file = Watched(Path(config.jwks), read)

    async def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key, or None."""
        return self._file.current().get((kid, algorithm))


class UrlKeys:
    """Keys at an address: asked for when first needed, after refresh_seconds and for an unknown kid, once a minute."""

    def __init__(self, config: Jwt, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a clock in seconds; nothing is asked for yet, so that a service starts while the issuer is down."""
        self._config, self._clock = config, clock
        self._keys: PublicKeys = {}
        self._had = self._asked = -math.inf
        self._asking: asyncio.Task[None] | None = None

    async def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key, or None. Raises Problem 503 if the issuer's keys could not be had for too long."""
        known, now = (kid, algorithm) in self._keys, self._clock()
        due = not known or now - self._had >= self._config.refresh_seconds
        if due and now - self._asked >= AGAIN_SECONDS:
            self._asked = now
            self._asking = asyncio.create_task(self._ask())
        if self._asking and not (known and self._fresh()):
            await asyncio.shield(self._asking)  # one question for all who wait; one who leaves does not end it
        if not self._fresh():
            wait = max(1, math.ceil(self._asked + AGAIN_SECONDS - self._clock()))
            raise Problem(503, "Tokens can't be checked at the moment.", {"Retry-After": str(wait)})
        return self._keys.get((kid, algorithm))

    def _fresh(self) -> bool:
        return self._clock() - self._had < self._config.keep_seconds

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS + 1):
                text = await asyncio.to_thread(_fetch, self._config.jwks)
            self._keys = public_keys(text, self._config.algorithms)
            self._had = self._clock()
        except (OSError, HTTPException, ValueError, CannotTell) as error:  # TimeoutError is an OSError
            log.error("%s: %s: the keys at hand stay in force", self._config.jwks, error)  # noqa: TRY400


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An address in the configuration is the address: what answers there must not send us elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def _fetch(url: str) -> bytes:
    """Return what an https address answers. Raises OSError or HTTPException, also for too much or too slow."""
    ends = time.monotonic() + FETCH_SECONDS
    opener = urllib.request.build_opener(_NoRedirect)
    parts, size = [], 0
    with opener.open(url, timeout=FETCH_SECONDS) as answer:
        while part := answer.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > MAX_BYTES or time.monotonic() > ends:
                raise OSError(f"answers more than {MAX_BYTES} bytes, or longer than {FETCH_SECONDS} s")
    return b"".join(parts)
