"""What every request goes through: an id, limits on its body, one answer whatever happens, one log line, figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textgate.serve.access.access import Guard
from textgate.serve.access.client import Client, address_of
from textgate.serve.account import GONE, account, id_of
from textgate.serve.body import Gone, read_body
from textgate.serve.lifespan import Lifespan
from textgate.serve.logs import LOG
from textgate.serve.problems import MEDIA_TYPE, NOTHING, Problem
from textgate.serve.ready_made import HEADERS, TurnAway, head
from textgate.serve.settings import ServeConfig

JSON = "application/json"
RAW_HEADERS = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())


@dataclass(frozen=True)
class Direct:
    """An endpoint that is called without FastAPI's routing and dependencies, which take longer than a small model.

    `answer` takes the request and its body, and returns JSON.
    """

    guard: Guard
    answer: Callable[[Request, bytes], Awaitable[bytes]]


class Envelope:
    """Pure ASGI middleware around the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        config: ServeConfig,
        endpoints: Collection[str],
        direct: Mapping[str, Direct],
        life: Lifespan,
        turn_away: TurnAway,
    ) -> None:
        """Take the app, its limits, the paths that it knows, those called directly (POST), start and end, refusals."""
        self._app, self._limits, self._listen = app, config.limits, config.listen
        self._endpoints, self._direct, self._life, self._turn_away = endpoints, direct, life, turn_away

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; anything else goes through."""
        if scope["type"] == "lifespan":
            scope["state"]["turn_away"] = self._turn_away  # for the protocol of each connection
            await self._life(receive, send)
            return
        exchange = Exchange(scope, receive, send, self._life)
        try:
            await self._answer(scope, exchange)
        except Problem as problem:
            await exchange.refuse(problem)
        except Gone:
            exchange.status = GONE
        except asyncio.CancelledError as error:  # by the protocol (the client is gone) or by the end of drain_seconds
            await exchange.refuse(Problem(503, "The service is stopping.", {"Retry-After": "1"}))
            exchange.status = 503 if error.args and "graceful" in error.args[0] else GONE
        except Exception:  # noqa: BLE001 - logged with its place; the client gets an answer whatever happens
            LOG.exception("a defect in textgate", extra={"request_id": exchange.request_id})
            await exchange.refuse(Problem(500, "The service failed. The request id leads to the reason in its log."))
        finally:
            self._note(scope, exchange)

    async def _answer(self, scope: Scope, exchange: Exchange) -> None:
        async def body() -> bytes:
            return await exchange.body(self._limits.body_bytes, self._listen.body_seconds)

        direct = self._direct.get(scope["path"])
        if direct is None or scope["method"] != "POST":
            await self._app(scope, exchange.replay(body), exchange.send)
            return
        request = Request(scope)
        await direct.guard(request)  # before the body: who is not let in fills no memory with it
        await exchange.give(200, await direct.answer(request, await body()), JSON)

    def _note(self, scope: Scope, exchange: Exchange) -> None:
        endpoint = scope["path"] if scope["path"] in self._endpoints else "other"
        seconds = time.perf_counter() - exchange.started
        account(endpoint, exchange.status, seconds, exchange.request_id, exchange.client, exchange.version)


class Exchange:
    """One request and what was answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, life: Lifespan) -> None:
        """Give the request its id: its own, if it brought one that is a plain UUID."""
        self.started = time.perf_counter()
        self.status = 500
        self._headers = dict(scope["headers"])
        self.request_id = id_of(self._headers.get(b"x-request-id", b""))
        self._state = scope["state"]
        self._state["request_id"] = self.request_id
        self._write: Callable[..., bool] = self._state.get("write", _never)  # the protocol leaves it there
        self._scope, self._receive, self._send, self._life = scope, receive, send, life
        self._begun = self._read = False

    async def body(self, most: int, seconds: float) -> bytes:
        """Return the whole body. Raises as `read_body` does."""
        whole: bytes | None = self._state.pop("body", None)  # the protocol leaves it there if it came at once
        if whole is None or len(whole) > most:
            whole = await read_body(self._headers, self._receive, most, seconds)
        self._read = True
        return whole

    def replay(self, body: Callable[[], Awaitable[bytes]]) -> Receive:
        """Return a `receive` that reads the whole body when it is first asked, and gives it at once."""

        async def receive() -> Message:
            if self._read:
                return await self._receive()
            return {"type": "http.request", "body": await body(), "more_body": False}

        return receive

    async def send(self, message: Message) -> None:
        """Pass an answer on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status, self._begun = message["status"], True
            own = message.get("headers", [])
            names = {name for name, _ in own}
            added = [header for header in RAW_HEADERS if header[0] not in names]
            added.append((b"x-request-id", self.request_id.encode()))
            if self._last() and b"connection" not in names:
                added.append((b"connection", b"close"))
            message = {**message, "headers": [*own, *added]}
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer has begun: then the connection is cut, which the client notices."""
        if not self._begun:
            await self.give(problem.status, problem.body(self.request_id), MEDIA_TYPE, problem.headers)

    async def give(self, status: int, body: bytes, kind: str, more: Mapping[str, str] = NOTHING) -> None:
        """Answer."""
        start = head(status, kind, more, self.request_id, len(body))
        if self._write(start, body, close=self._last()):
            self.status, self._begun = status, True
            return
        headers = {"content-type": kind, "content-length": str(len(body)), **more}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})

    def _last(self) -> bool:
        """Say whether the connection can carry no other request.

        Who waits to be asked for its body, and is not, will not send it.
        """
        return self._life.stopping or (not self._read and b"expect" in self._headers)

    @property
    def client(self) -> str:
        """Return who asked: the name that the guard found, or else the address."""
        known: Client | None = self._state.get("client")
        return known.name if known else address_of(self._scope)

    @property
    def version(self) -> str | None:
        """Return the version of the model that was asked, if one was."""
        found: str | None = self._state.get("version")
        return found


def _never(*_answer: object, close: bool) -> bool:  # noqa: ARG001 - as the protocol's
    """Stand in where there is no connection of ours: what is not written whole goes the usual way."""
    return False
