"""Drives a Ray cluster in a process of its own, and speaks with it through a pipe.

Ray ends the process that it lives in when it loses the cluster: with exit code 1, which here means that some rows were
rejected. It also writes to standard error, and may wait for minutes. From outside, all that is one error in one line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from textgate.batch.answer import Answer, Model
from textgate.batch.formats import Format
from textgate.batch.ray_crew import AT_ONCE, Crew, Seat, seats
from textgate.batch.rows import Window
from textgate.batch.settings import BatchConfig
from textgate.batch.workers import Engine, Workers
from textgate.bundle import MANIFEST, verify
from textgate.errors import CannotTell, TextgateError

LOST = "the Ray cluster is gone: see its head's logs, then run again, it goes on where it stopped"
END_SECONDS = 60  # for a Ray of our own to end; on a quiet machine it takes 2


def on_ray(address: str | None) -> Engine:
    """Return what scores on a Ray cluster; with no address, and none in RAY_ADDRESS, on one of this machine alone.

    Used, it raises CannotTell if Ray is not installed, if the cluster does not answer, and if it is lost.
    """
    return partial(_driven, address or os.environ.get("RAY_ADDRESS"))


@contextlib.contextmanager
def _driven(address: str | None, model: Model, form: Format, config: BatchConfig) -> Iterator[Workers]:
    if importlib.util.find_spec("ray") is None:
        raise CannotTell("--engine ray: Ray is not installed here: pip install -r requirements-ray.txt")
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_drive, args=(there, model, form, config, address), daemon=True)
    process.start()
    there.close()  # so that the end of the process is the end of the pipe
    try:
        where = f"--address {address}" if address else "--engine ray"
        if not here.poll(config.ray.start_seconds):
            process.kill()
            seconds = f"{config.ray.start_seconds:g} s"
            raise CannotTell(f"{where}: no Ray cluster answers within {seconds}: is it Ray that listens there?")
        yield Workers(_greeting(here, where), _Answers(here).submit)
    finally:
        with contextlib.suppress(OSError):
            here.send(None)
        process.join(END_SECONDS)
        process.kill()
        process.join()


def _greeting(pipe: Connection, where: str) -> int:
    """Return how many workers there will be. Raises what kept the cluster from being used."""
    try:
        found: int | TextgateError = pipe.recv()
    except (EOFError, OSError) as error:
        raise CannotTell(LOST) from error
    if isinstance(found, TextgateError):
        raise found
    if not found:
        raise CannotTell(f"{where}: the Ray cluster has no machine with a processor to give")
    return found


class _Answers:
    """What was asked through a pipe and not yet answered."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._numbers = pipe, itertools.count()
        self._asked: dict[int, Future[Answer]] = {}
        self._lock, self._gone = threading.Lock(), False
        threading.Thread(target=self._listen, daemon=True).start()

    def submit(self, window: Window) -> Future[Answer]:
        future: Future[Answer] = Future()
        with self._lock:
            if self._gone:
                raise CannotTell(LOST)
            number = next(self._numbers)
            self._asked[number] = future
        with contextlib.suppress(OSError):  # then _listen ends, and says so to all
            self._pipe.send((number, window))
        return future

    def _listen(self) -> None:
        try:
            with contextlib.suppress(EOFError, OSError):
                while True:
                    number, found = self._pipe.recv()
                    with self._lock:
                        future = self._asked.pop(number)
                    if isinstance(found, Exception):
                        future.set_exception(found)
                    else:
                        future.set_result(found)
        finally:
            with self._lock:
                self._gone = True
            for future in self._asked.values():
                future.set_exception(CannotTell(LOST))


def _drive(pipe: Connection, model: Model, form: Format, config: BatchConfig, address: str | None) -> None:
    """Answer windows until None comes, or nobody is left who asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who began us ends us
    for stream in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    try:
        from textgate.batch.ray_cluster import cluster, machines

        with cluster(address):
            places = seats(machines(), getattr(config.processes, model.kind))
            crew = Crew(places, _hiring(model, form), config.ray)
            pipe.send(len(places))
            _serve(pipe, crew, len(places) * AT_ONCE)
    except TextgateError as error:
        _send(pipe, error)
    except Exception as error:  # noqa: BLE001 - Ray raises what it likes
        reason = " ".join(str(error).split())[:300]
        _send(pipe, CannotTell(f"Ray could not be used: {type(error).__name__}: {reason}"))
    os._exit(0)  # threads may still wait for what does not come any more


def _serve(pipe: Connection, crew: Crew, at_once: int) -> None:
    lock = threading.Lock()

    def tell(number: int, window: Window) -> None:
        found: Answer | Exception
        try:
            found = crew.ask(window)
        except Exception as error:  # noqa: BLE001 - raised again where it is told
            found = error if isinstance(error, TextgateError) else CannotTell(f"Ray: {type(error).__name__}: {error}")
        with lock:
            _send(pipe, (number, found))

    pool = ThreadPoolExecutor(at_once)
    with contextlib.suppress(EOFError, OSError):
        while (work := pipe.recv()) is not None:
            pool.submit(tell, *work)
    pool.shutdown(wait=False, cancel_futures=True)


def _send(pipe: Connection, message: Any) -> None:
    with contextlib.suppress(OSError):
        pipe.send(message)


def _hiring(model: Model, form: Format) -> Any:
    """Put the bundle where all machines of the cluster can take it from, and return what begins a worker."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from textgate.batch.ray_worker import Worker, versions

    names = [*verify(model.path, model.digest).files, MANIFEST]
    contents = [ray.put((model.path / name).read_bytes()) for name in names]
    remote, wanted = ray.remote(Worker), versions()

    def hire(seat: Seat) -> tuple[Any, Any]:
        near = NodeAffinitySchedulingStrategy(seat.node, soft=True)  # if it is gone: anywhere
        actor = remote.options(num_cpus=seat.cpus, scheduling_strategy=near).remote(model, form, wanted)
        return actor, actor.open.remote(names, *contents)

    return hire
