"""Clients of one server: so many, each with one request at a time (closed), or so many requests a second (opened).

One process with uvloop and no HTTP library: `serve.py` first measures how often it can ask, against a server that
answers without looking, and says by how much that is more than the fastest server that is compared.
"""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter

import uvloop

END_SECONDS = 10.0  # at most, for the last answers of an open run
BATCH_SECONDS = 0.001  # requests of an open run that are due within it are sent together


@dataclass
class Seen:
    """What the clients saw: seconds of each answer by status, and how long they asked."""

    seconds: float = 0.0
    answers: dict[int, list[float]] = field(default_factory=dict)
    without_retry_after: int = 0  # answers 503 that do not say when to come back
    lost: Counter[str] = field(default_factory=Counter)  # connections that ended without an answer

    @property
    def rate(self) -> float:
        """Return the answers of 200 a second."""
        return len(self.answers.get(200, ())) / self.seconds

    def milliseconds(self, share: float, status: int = 200) -> float:
        """Return a quantile of the time to answer."""
        found = sorted(self.answers.get(status, [0.0]))
        return found[min(len(found) - 1, int(share * len(found)))] * 1000


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, seen: Seen, when_free: deque[Client] | None = None) -> None:
        """Take where answers are noted. A server may answer before it is asked, if it lets nobody in."""
        self._seen, self._free = seen, when_free
        self._began = perf_counter()
        self._buffer = b""
        self._waiting: asyncio.Future[float] | None = None
        self.open = True
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def ask(self, request: bytes, began: float) -> None:
        """Send a request whose time began at `began`."""
        self._began, self.busy = began, True
        self._transport.write(request)

    async def asked(self, request: bytes) -> float:
        """Send a request and wait for its answer; return the seconds that the server wants us to stay away."""
        self._waiting = asyncio.get_running_loop().create_future()
        self.ask(request, perf_counter())
        return await self._waiting

    def data_received(self, data: bytes) -> None:
        """Read an answer; every server here gives its length."""
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        if len(self._buffer) < end + 4 + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        status = int(head[9:12])
        self._seen.answers.setdefault(status, []).append(perf_counter() - self._began)
        later = float(head.partition(b"retry-after:")[2].partition(b"\r\n")[0] or 0)
        if status == 503 and not later:
            self._seen.without_retry_after += 1
        self._buffer, self.busy = b"", False
        self.open = self.open and b"connection: close" not in head
        if self._free is not None and self.open:
            self._free.append(self)
        self._done(later)

    def connection_lost(self, error: Exception | None) -> None:
        """Note a request that nobody answered."""
        self.open = False
        if self.busy:
            self._seen.lost[type(error).__name__ if error else "closed"] += 1
            self.busy = False
        self._done(0.0)

    def close(self) -> None:
        """Hang up; what is on its way is not waited for."""
        self.busy = False
        self._transport.close()

    def _done(self, later: float) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(later)


def closed(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Seen:
    """Let so many clients ask, each again as soon as it has its answer, or when it is told to by Retry-After."""

    async def run() -> Seen:
        seen, following = Seen(), cycle(requests)
        end = perf_counter() + seconds

        async def one() -> None:
            client = None
            while perf_counter() < end:
                if client is None:
                    client = await _connected(port, seen, None)
                later = await client.asked(next(following))
                if not client.open:
                    client = None
                if later:
                    await asyncio.sleep(min(later, max(0.0, end - perf_counter())))
            if client is not None:
                client.close()

        began = perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        seen.seconds = perf_counter() - began
        return seen

    return _run(run())


def opened(port: int, requests: Sequence[bytes], a_second: float, seconds: float) -> Seen:
    """Ask at a rate, whatever the answers: at the moments of a Poisson process, each timed from when it was due.

    A request takes a connection that is free, or a new one, as strangers do.
    """

    async def run() -> Seen:
        seen = Seen(seconds=seconds)
        strangers = Strangers(port, seen)
        draw = random.Random(a_second)  # noqa: S311 - moments, no secret
        began = due = perf_counter()
        for request in cycle(requests):
            due += draw.expovariate(a_second)
            if due > began + seconds:
                break
            if due - perf_counter() > BATCH_SECONDS:
                await asyncio.sleep(due - perf_counter())
            strangers.ask(request, due)
        await strangers.leave()
        return seen

    return _run(run())


class Strangers:
    """Connections of an open run: as many as are needed."""

    def __init__(self, port: int, seen: Seen) -> None:
        """Begin without any."""
        self._port, self._seen = port, seen
        self._free: deque[Client] = deque()
        self._clients: set[Client] = set()
        self._opening: set[asyncio.Task[None]] = set()

    def ask(self, request: bytes, due: float) -> None:
        """Send a request over a connection that is free and open, or over a new one."""
        while self._free and not self._free[0].open:
            self._free.popleft()
        if self._free:
            self._free.popleft().ask(request, due)
            return
        task = asyncio.create_task(self._ask_anew(request, due))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _ask_anew(self, request: bytes, due: float) -> None:
        try:
            client = await _connected(self._port, self._seen, self._free)
        except OSError as error:
            self._seen.lost[type(error).__name__] += 1
            return
        self._clients.add(client)
        if client.open:
            client.ask(request, due)

    async def leave(self) -> None:
        """Wait for the last answers, for a while; note what is not answered by then."""
        await asyncio.gather(*self._opening)
        last = perf_counter() + END_SECONDS
        while any(client.busy for client in self._clients) and perf_counter() < last:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
        self._seen.lost["unanswered"] += sum(client.busy for client in self._clients)
        for client in self._clients:
            client.close()


async def _connected(port: int, seen: Seen, free: deque[Client] | None) -> Client:
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(lambda: Client(seen, free), "127.0.0.1", port))[1]


def _run(running: object) -> Seen:
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(running)  # type: ignore[arg-type]
    finally:
        gc.enable()


def as_requests(port: int, texts: Sequence[str], *, lists: bool = False) -> list[bytes]:
    """Return the bytes of one request a text; `lists` for a server that takes lists, here of one."""
    asked = [{"texts": [text]} if lists else {"text": text} for text in texts]
    bodies = [json.dumps(one, ensure_ascii=False).encode() for one in asked]
    start = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return [f"{start}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
