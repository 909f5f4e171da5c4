"""HTTP/1.1 over a socket: uvicorn's protocol, with the limits on connections and headers that it does not have."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from itertools import chain
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from textgate.serve.account import new_id
from textgate.serve.host import names_its_host
from textgate.serve.metrics import REJECTED
from textgate.serve.problems import Problem
from textgate.serve.ready_made import TurnAway, as_http
from textgate.serve.uvicorn_settings import Settings

GONE = "the client went away"
NOT_HTTP = Problem(400, "This is not a valid HTTP request.")
TOO_SLOW = Problem(408, "The header took too long to arrive.")
HEADER_TOO_LARGE = Problem(431, "The header is too large.")
TOO_MANY = Problem(503, "Too many clients are connected. Ask again in a moment.", {"Retry-After": "1"})
MOST_BEHIND = 100  # requests that a client sends ahead; each takes 2 kB, and RFC 9112, 9.3.2 lets us close instead
LAST_CALL_SECONDS = 0.5  # many times the way from a client that has connected
TRAILER: deque[tuple[bytes, bytes]] = deque(maxlen=0)  # fields after a body in chunks are no header: it keeps none
REASONS = {NOT_HTTP: "bad", TOO_SLOW: "slow", HEADER_TOO_LARGE: "size", TOO_MANY: "busy"}


class Protocol(HttpToolsProtocol):
    """One connection.

    Its header must arrive in time and be of a bounded size, as must all that is no body; a body that was refused must
    end in time (it is read and thrown away, so that a client that sends first and reads later still gets its answer);
    and an answer must be read in the time that a body has. The task of a client that goes away is cancelled.
    """

    config: Settings
    in_header = False
    header_bytes = 0  # that came after its first, or after those of a body, and before the newest bytes
    newest_bytes = 0
    timer: asyncio.TimerHandle | None = None
    unread: asyncio.TimerHandle | None = None  # runs while the client has not taken all that it was answered
    task: asyncio.Task[None] | None = None  # answers `running`; `cycle` is the newest request, which may wait its turn
    running: RequestResponseCycle | None = None
    parsing = False
    first: tuple[RequestResponseCycle, Any] | None = None  # request of what is being parsed; others wait their turn
    wrong: Problem = NOT_HTTP
    refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a client in, unless too many are."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # `pause_writing` tells of all that the system could not take
        if len(self.connections) > self.config.listen.connections:
            self._refuse(TOO_MANY)
        else:
            self._start_timer(self.config.listen.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client, and stop working for it."""
        self._stop_timer()
        if self.unread is not None:
            self.unread.cancel()
        super().connection_lost(exc)
        if self.task is not None and self.running is not None and not self.running.response_complete:
            self.running.disconnected = True
            self.task.cancel(GONE)

    def data_received(self, data: bytes) -> None:
        """Read bytes; start a clock if they are not part of a request that is being answered."""
        if self.refused:  # others may still be answered; nothing is kept of what comes now
            return
        self._unset_keepalive_if_required()
        self.newest_bytes = len(data)
        try:
            self._parse(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self.wrong)
        if self.transport.is_closing():
            return
        self.header_bytes += len(data)
        if self.header_bytes > self.config.listen.header_bytes:
            self._refuse(HEADER_TOO_LARGE)
        if self.in_header:
            self._start_timer(self.config.listen.header_seconds)
        elif self.cycle is not None and self.cycle.response_complete:
            self._start_timer(self.config.listen.body_seconds)

    def _parse(self, data: bytes) -> None:
        """Parse, and only then begin with a request: now it is known whether its body came with it."""
        self.parsing = True
        try:
            self.parser.feed_data(data)
        finally:
            self.parsing = False
            if self.first is not None:
                first, self.first = self.first, None
                self._begin(*first)

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not longer than for one that does not send."""
        super().pause_writing()
        self.unread = self.loop.call_later(self.config.listen.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        if self.unread is not None:
            self.unread.cancel()

    def _stay(self, rest: bytes) -> None:
        """Read a request again, without its wish to go on in another protocol: the parser has passed over its body."""
        lines = [b"%b: %b\r\n" % header for header in self.scope["headers"] if header[0] != b"upgrade"]
        start = b"%b %b HTTP/%b\r\n" % (self.scope["method"].encode(), self.url, self.scope["http_version"].encode())
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(start + b"".join(lines) + b"\r\n" + rest)

    def _should_upgrade(self) -> bool:
        """Make uvicorn leave such a request to `_stay`."""
        return True

    def on_message_begin(self) -> None:
        """Note that a header has begun; what came with its first bytes may be of the request before."""
        self.in_header, self.header_bytes = True, -self.newest_bytes
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the header is there. An error raised here ends in `_refuse`."""
        self.in_header = False
        self._stop_timer()
        most = self.config.listen.header_bytes
        in_parts = self.header_bytes >= 0
        if (in_parts or self.newest_bytes > most) and len(self.url) + sum(map(len, chain(*self.headers))) > most:
            self.wrong = HEADER_TOO_LARGE
            raise ValueError
        if len(self.pipeline) == MOST_BEHIND:
            self.wrong = TOO_MANY
            raise ValueError
        if self.parser.get_method() == b"CONNECT" or not names_its_host(self.headers, self.parser):
            raise ValueError  # a proxy's CONNECT has no request that could be answered
        super().on_headers_complete()
        self.headers = TRAILER  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Take in bytes of a body, which has limits of its own; what comes between and after them counts as header."""
        self.header_bytes = -self.newest_bytes
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on; read no more while requests wait (uvicorn reads after each answer, into memory without end)."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def shutdown(self) -> None:
        """Hang up at the end of the service, but let who has just connected ask: its request may be on its way."""
        if self.cycle is None and not self.transport.is_closing():
            self._stop_timer()
            self._start_timer(LAST_CALL_SECONDS)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        if self.parsing:
            self.first = cycle, app
        else:
            self._begin(cycle, app)

    def _begin(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._turn_away(cycle):
            return
        state = cycle.scope["state"]
        if not cycle.more_body:
            state["body"] = bytes(cycle.body)  # so that nobody has to wait for it, and set a clock
        state["write"] = partial(self._write, cycle)
        self.task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _turn_away(self, cycle: RequestResponseCycle) -> bool:
        """Answer a request that would find no room, and say whether it was; what is not plain goes the usual way."""
        turn_away: TurnAway | None = self.app_state.get("turn_away")
        plain = cycle.keep_alive and not cycle.more_body and not self.flow.write_paused
        if turn_away is None or not plain or self.transport.is_closing():
            return False
        answer = turn_away(cycle.scope, cycle.body)  # type: ignore[arg-type]  # two names of one dict
        if answer is None:
            return False
        self._end(cycle, answer)
        return True

    def _write(self, cycle: RequestResponseCycle, head: bytes, body: bytes, *, close: bool) -> bool:
        """Write a whole answer and say whether it could be at once; it saves what uvicorn does for each header.

        One system call, too, and not one for the header and one for the body: each wakes the client.
        """
        unusual = cycle.scope["method"] == "HEAD" or self.flow.write_paused or cycle.disconnected
        if unusual or cycle.response_started:
            return False
        lines = [b"%b: %b\r\n" % header for header in cycle.default_headers]
        cycle.keep_alive = cycle.keep_alive and not close
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        self._end(cycle, b"".join((head, *lines, b"\r\n", body)))
        return True

    def _end(self, cycle: RequestResponseCycle, answer: bytes) -> None:
        """Write an answer, and go on as uvicorn does after one."""
        self.transport.write(answer)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def _start_timer(self, seconds: float) -> None:
        if self.timer is None:
            self.timer = self.loop.call_later(seconds, self._too_late)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _too_late(self) -> None:
        if self.in_header:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer what can be no request, and hang up; but first let those before it have their answers."""
        if self.transport.is_closing() or self.refused:
            return
        self.refused = True
        REJECTED.labels(REASONS[problem]).inc()
        newest = self.cycle
        in_body = newest is self.running and newest is not None and newest.more_body and not newest.response_started
        if newest is not None and not newest.response_complete and not in_body:
            newest.keep_alive = False
            return
        self.transport.write(as_http(problem, new_id(), {"connection": "close"}))
        self.transport.close()
