"""Answers as bytes: how every one begins, and whole refusals of what is no request or would be turned away anyway.

Overloaded, most of the work is to say no. Read, checked and refused by the batcher, a request costs the event loop half
of what an answer costs; then, at twice the load, those who are let in get little and wait long.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from textgate.serve.access.client import address_of
from textgate.serve.account import account, id_of
from textgate.serve.batcher import busy
from textgate.serve.problems import MEDIA_TYPE, Problem

HEADERS = {  # that every answer has, unless it brings its own
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
PLACE = "0" * 36  # as long as an id
SEVERAL = b'"texts"'  # a text may hold it, too; then its request is refused a little later


def as_http(problem: Problem, request_id: str, more: Mapping[str, str]) -> bytes:
    """Return a whole answer."""
    body = problem.body(request_id)
    return head(problem.status, MEDIA_TYPE, {**problem.headers, **more}, request_id, len(body)) + b"\r\n" + body


def head(status: int, kind: str, more: Mapping[str, str], request_id: str, length: int) -> bytes:
    """Return what stands before the body of an answer, but for the empty line, with the headers that all have."""
    start = _start(status, kind, tuple(more.items()))
    return b"%bcontent-length: %d\r\nx-request-id: %b\r\n" % (start, length, request_id.encode())


@lru_cache(maxsize=64)  # most answers begin alike
def _start(status: int, kind: str, more: tuple[tuple[str, str], ...]) -> bytes:
    lines = {"content-type": kind, **HEADERS, **dict(more)}
    return STATUS_LINE[status] + "".join(f"{name.lower()}: {value}\r\n" for name, value in lines.items()).encode()


class TurnAway:
    """What is asked about a request to /predict before anything else is done for it."""

    def __init__(self, too_long_s: Callable[[int, int], float | None]) -> None:
        """Take what returns how long so many texts would wait behind others that come, if that is too long."""
        self._too_long_s = too_long_s
        self._coming = 0  # requests that were read in this turn of the loop, and wait for what is read after them

    def __call__(self, scope: Scope, body: bytes | bytearray) -> bytes | None:
        """Return the answer to a request that would find no room, noted as any other; None if it may find some."""
        if scope["path"] != "/predict" or scope["method"] != "POST":
            return None
        wait_s = self._too_long_s(2 if SEVERAL in body else 1, self._coming)
        if wait_s is None:
            if not self._coming:
                asyncio.get_running_loop().call_soon(self._have_come)
            self._coming += 1
            return None
        request_id = id_of(next((value for name, value in scope["headers"] if name == b"x-request-id"), b""))
        account("/predict", 503, None, request_id, address_of(scope), None)
        return request_id.encode().join(_around_id(math.ceil(wait_s)))

    def _have_come(self) -> None:
        self._coming = 0


@lru_cache(maxsize=16)
def _around_id(wait_s: int) -> list[bytes]:
    """Return what stands before, between and after the two places of the request id in an answer."""
    return as_http(busy(wait_s), PLACE, {}).split(PLACE.encode())
