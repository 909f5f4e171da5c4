"""Who scores: a thread for models that use all processors themselves, otherwise processes.

Each process has a pipe of its own and a thread that waits for it, so that one that dies is noticed by its thread, and
nobody hangs. The standard library's pool of processes does in Python 3.11, if one is killed while work is handed out.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import LifoQueue

from textgate.batch.answer import Answer, Model, answer
from textgate.batch.formats import Format
from textgate.batch.rows import Window
from textgate.batch.settings import BatchConfig
from textgate.errors import CannotTell
from textgate.models.processors import processors


@dataclass(frozen=True)
class Workers:
    """How many score at once, and how a window is handed to whoever is free."""

    count: int
    submit: Callable[[Window], Future[Answer]]


Engine = Callable[[Model, Format, BatchConfig], AbstractContextManager[Workers]]


@contextlib.contextmanager
def local(model: Model, form: Format, config: BatchConfig) -> Iterator[Workers]:
    """Score on this machine. A process is begun when there is work for it; what an error leaves undone is left."""
    count = getattr(config.processes, model.kind) or processors()
    processes = [_Process(model, form) for _ in range(count)] if count > 1 else []
    free: LifoQueue[_Process] = LifoQueue()  # the last that was busy comes first: one that never was need not begin
    for process in processes:
        free.put(process)

    def ask(window: Window) -> Answer:
        if not processes:
            return answer(window, model, form)
        process = free.get()
        try:
            return process.ask(window)
        finally:
            free.put(process)

    pool = ThreadPoolExecutor(count)
    try:
        yield Workers(count, lambda window: pool.submit(ask, window))
    finally:
        for process in processes:
            process.end()
        pool.shutdown(cancel_futures=True)
        for process in processes:  # begun at the last moment
            process.end()


class _Process:
    """A process that opens the model and scores what comes through its pipe."""

    def __init__(self, model: Model, form: Format) -> None:
        self._work = (model, form)
        self._begun: tuple[SpawnProcess, Connection] | None = None

    def ask(self, window: Window) -> Answer:
        """Have a window scored. Raises what scoring it raised, and CannotTell if the process is gone."""
        if self._begun is None:
            self._begun = self._begin()
        try:
            self._begun[1].send(window)
            found: Answer | Exception = self._begun[1].recv()
        except (EOFError, OSError) as error:
            cure = "is there memory enough? run again, it goes on where it stopped"
            raise CannotTell(f"a process that scored was killed: {cure}") from error
        if isinstance(found, Exception):
            raise found
        return found

    def _begin(self) -> tuple[SpawnProcess, Connection]:
        """Spawn, and do not fork: a forked process shares locks that threads of this one may hold."""
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_score, args=(there, *self._work), daemon=True)
        process.start()
        there.close()  # so that the end of the process is the end of the pipe
        return process, here

    def end(self) -> None:
        """Kill it; it holds nothing that is lost."""
        if self._begun is not None:
            self._begun[0].kill()
            self._begun[0].join()


def _score(pipe: Connection, model: Model, form: Format) -> None:
    """Answer windows until the one who asks is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who began us ends us
    with contextlib.suppress(EOFError, OSError):
        while True:
            window = pipe.recv()
            found: Answer | Exception
            try:
                found = answer(window, model, form)
            except Exception as error:  # noqa: BLE001 - raised again where it is told
                found = error
            pipe.send(found)
