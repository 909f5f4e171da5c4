"""The start and the end of a process that serves.

SIGTERM or SIGHUP ends it in two steps: first /ready says no and every answer closes its connection, so that whoever
spreads the requests goes elsewhere; then uvicorn lets nobody in any more and waits for what is being answered.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from multiprocessing import parent_process
from types import FrameType

from starlette.types import Receive, Send

from textgate.errors import TextgateError
from textgate.serve.logs import LOG

Step = Callable[[], Awaitable[None]]


class Lifespan:
    """ASGI's lifespan, whose failure is one line and not a traceback."""

    def __init__(self, start: Step, stop: Step, notice_seconds: float) -> None:
        """Take what is done before the first request and after the last, and how long the first step of the end is."""
        self._start, self._stop, self._notice_seconds = start, stop, notice_seconds
        self.stopping = False
        self.failure: TextgateError | None = None

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Start, wait for the end, stop."""
        await receive()
        began = time.perf_counter()
        try:
            await self._start()
        except TextgateError as error:
            self.failure = error
            if parent_process():  # else whoever started us says it
                LOG.error("%s: %s", error.word, error)
            logging.getLogger("uvicorn.error").disabled = True  # it would add that the startup failed
            await self._stop()
            await send({"type": "lifespan.startup.failed"})
            return
        self._listen_for_the_end()
        gc.collect()
        gc.freeze()  # models and code live as long as we do: no later collection looks through them
        LOG.info("ready", extra={"seconds": round(time.perf_counter() - began, 2)})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        LOG.info("stopped")
        await send({"type": "lifespan.shutdown.complete"})

    def _listen_for_the_end(self) -> None:
        """Put ourselves before the handler of SIGTERM that uvicorn has set."""
        loop, uvicorns = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def begin() -> None:
            if not self.stopping and callable(uvicorns):
                self.stopping = True
                LOG.info("stopping", extra={"notice_seconds": self._notice_seconds})
                loop.call_later(self._notice_seconds, uvicorns, signal.SIGTERM, None)

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(begin)

        signal.signal(signal.SIGTERM, on_signal)
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # a closed terminal; under nohup it is ignored
            signal.signal(signal.SIGHUP, on_signal)
        if parent := parent_process():  # a supervisor that was killed must not leave us behind, holding its port
            loop.add_reader(parent.sentinel, self._orphaned, loop, parent.sentinel, begin)

    def _orphaned(self, loop: asyncio.AbstractEventLoop, sentinel: int, begin: Callable[[], None]) -> None:
        loop.remove_reader(sentinel)
        begin()
