"""What every request goes through: an id, limits on its body, one answer whatever happens, one log line, figures."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textgate.serve.access.access import Guard
from textgate.serve.body import Gone, read_body
from textgate.serve.life import Life
from textgate.serve.logs import ACCESS, LOG
from textgate.serve.metrics import REJECTED, REQUEST_SECONDS, REQUESTS
from textgate.serve.problems import MEDIA_TYPE, Problem
from textgate.serve.settings import ServeConfig

PLAIN_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REASONS = {400: "bad", 415: "bad", 422: "bad", 401: "access", 403: "access", 408: "slow", 413: "size", 429: "rate"}
GONE = 499  # in log and figures, as nginx has it: nobody was there to be answered
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


@dataclass(frozen=True)
class Direct:
    """An endpoint that is called without FastAPI's routing and dependencies, which take longer than a small model."""

    guard: Guard
    answer: Callable[[Request], Awaitable[Response]]


class Envelope:
    """Pure ASGI middleware around the whole app."""

    def __init__(
        self, app: ASGIApp, config: ServeConfig, endpoints: Collection[str], direct: Mapping[str, Direct], life: Life
    ) -> None:
        """Take the app, its limits, the paths that it knows, those that are called directly (POST), start and end."""
        self._app, self._limits, self._listen = app, config.limits, config.listen
        self._endpoints, self._direct, self._life = endpoints, direct, life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; anything else goes through."""
        if scope["type"] == "lifespan":
            await self._life(receive, send)
            return
        exchange = Exchange(scope, send, self._life)
        try:
            body = await read_body(scope, receive, self._limits.body_bytes, self._listen.body_seconds)
            await self._answer(scope, exchange.replay(body, receive), exchange.send)
        except Problem as problem:
            await exchange.give(problem)
        except Gone:
            exchange.status = GONE
        except asyncio.CancelledError as error:  # by the protocol (the client is gone) or by the end of drain_seconds
            await exchange.give(Problem(503, "The service is stopping.", {"Retry-After": "1"}))
            exchange.status = 503 if error.args and "graceful" in error.args[0] else GONE
        except Exception:  # noqa: BLE001 - logged with its place; the client gets an answer whatever happens
            LOG.exception("a defect in textgate", extra={"request_id": exchange.request_id})
            await exchange.give(Problem(500, "The service failed. The request id leads to the reason in its log."))
        finally:
            self._note(scope, exchange)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct = self._direct.get(scope["path"])
        if direct is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        await direct.guard(request)
        response = await direct.answer(request)
        await response(scope, receive, send)

    def _note(self, scope: Scope, exchange: Exchange) -> None:
        path, status = scope["path"], exchange.status
        endpoint = path if path in self._endpoints else "other"
        seconds = time.perf_counter() - exchange.started
        REQUESTS.labels(endpoint, status).inc()
        REQUEST_SECONDS.labels(endpoint).observe(seconds)
        if reason := REASONS.get(status, "busy" if status == 503 and endpoint in ("/predict", "/explain") else None):
            REJECTED.labels(reason).inc()
        if ACCESS.isEnabledFor(20):
            ACCESS.info("", extra=exchange.line(endpoint, seconds))


class Exchange:
    """One request and what was answered."""

    def __init__(self, scope: Scope, send: Send, life: Life) -> None:
        """Give the request its id: its own, if it brought one that is a plain UUID."""
        self.started = time.perf_counter()
        self.status = 500
        self.request_id = self._id(scope)
        self._state = scope["state"]
        self._state["request_id"] = self.request_id
        self._scope, self._send, self._life, self._begun = scope, send, life, False

    @staticmethod
    def _id(scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and PLAIN_UUID.fullmatch(value):
                return str(value, "ascii")
        return str(uuid.uuid4())

    def replay(self, body: bytes, receive: Receive) -> Receive:
        """Return a `receive` that gives the body at once."""
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        return again

    async def send(self, message: Message) -> None:
        """Pass an answer on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status, self._begun = message["status"], True
            own = message.get("headers", [])
            names = {name for name, _ in own}
            added = [header for header in HEADERS if header[0] not in names]
            added.append((b"x-request-id", self.request_id.encode()))
            if self._life.stopping:
                added.append((b"connection", b"close"))
            message = {**message, "headers": [*own, *added]}
        await self._send(message)

    async def give(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer has begun: then the connection is cut, which the client notices."""
        if self._begun:
            return
        body = problem.body(self.request_id)
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})

    def line(self, endpoint: str, seconds: float) -> dict[str, Any]:
        """Return what the log says about it."""
        client = getattr(self._state.get("client"), "name", None) or (self._scope["client"] or ("",))[0]
        return {
            "request_id": self.request_id,
            "client": client,
            "endpoint": endpoint,
            "status": self.status,
            "ms": round(seconds * 1000, 2),
            "version": self._state.get("version"),
        }
