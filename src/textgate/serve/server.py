"""The service on a socket: uvicorn in this process, or uvicorn's supervisor over several."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from textgate.bundle import verify
from textgate.choose import bundle_in
from textgate.errors import CannotTell, TextgateError
from textgate.serve import logs
from textgate.serve.envelope import Envelope
from textgate.serve.settings import Listen, ServeConfig
from textgate.serve.supervisor import Supervisor

DOORS = 64  # overloaded, a turn takes 5 to 20 ms: 3,000 new clients a second, and more
BACKLOG = 2048  # connections that wait to be let in; the kernel cuts it to net.core.somaxconn
ORPHANED_SECONDS = 30.0  # in which a worker whose supervisor was killed begins to end, also one that only just starts
STEP_SECONDS = 0.1


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or SIGINT, and answer what was accepted. Raises Refused or CannotTell if it can't start."""
    logs.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises its signal again when it is done
    with _socket(config.listen) as listening:
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        logs.LOG.info("listening", extra={"address": f"http://{shown}:{port}", "workers": config.listen.workers})
        try:
            (_alone if config.listen.workers == 1 else _several)(config, listening)
        except KeyboardInterrupt:
            logs.LOG.info("interrupted")


def _socket(listen: Listen) -> socket.socket:
    """Return the socket. Raises CannotTell for an address that cannot be had.

    Several processes wait for their port: workers of a supervisor that was killed have it until they end.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    where, waited_s = f"{listen.host}:{listen.port}", 0.0
    most_s = listen.notice_seconds + ORPHANED_SECONDS if listen.workers > 1 else 0.0
    while True:
        try:
            return socket.create_server((listen.host, listen.port), family=family, backlog=BACKLOG)
        except OSError as error:
            number = error.errno or 0  # below 0 if no address has that name
            if number != errno.EADDRINUSE or waited_s >= most_s:
                reason = os.strerror(number) if number > 0 else "no such host"
                raise CannotTell(f"{where}: {reason}: choose another listen.host or --port") from error
        if not waited_s:
            logs.LOG.warning("the port is taken, it is waited for", extra={"address": where, "seconds": most_s})
        time.sleep(STEP_SECONDS)
        waited_s += STEP_SECONDS


def doors(listening: socket.socket) -> list[socket.socket]:
    """Return the socket many times: uvloop lets in one client a socket and turn, and a busy turn takes milliseconds.

    By one door some hundred a second come in, and overloaded, strangers wait for seconds before we hear of them.
    """
    return [listening, *(listening.dup() for _ in range(DOORS - 1))]


def _alone(config: ServeConfig, listening: socket.socket) -> None:
    from textgate.serve.app import create
    from textgate.serve.protocol import Protocol
    from textgate.serve.uvicorn_settings import Settings

    app = create(config)
    try:
        uvicorn.Server(Settings(lambda: app.state.envelope, config.listen, Protocol)).run(sockets=doors(listening))
    except SystemExit:
        if app.state.life.failure:
            raise app.state.life.failure from None
        raise


def _several(config: ServeConfig, listening: socket.socket) -> None:
    from textgate.serve.protocol import Protocol
    from textgate.serve.uvicorn_settings import Settings

    path, release = bundle_in(Path(config.models.champion))
    verify(path, release.bundle_digest if release else None)  # here, so that it is said once and by the exit code
    with tempfile.TemporaryDirectory(prefix="textgate-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        settings = Settings(partial(worker, config), config.listen, Protocol)
        supervisor = Supervisor(settings, doors(listening), Path(folder))
        supervisor.run()
    if supervisor.failed:
        raise CannotTell("a worker could not start: the log says why")


def worker(config: ServeConfig) -> Envelope:
    """Return what one of several processes serves."""
    from textgate.serve.app import create

    logs.start()
    try:
        envelope: Envelope = create(config).state.envelope
    except TextgateError as error:
        logs.LOG.error("%s: %s", error.word, error)
        sys.exit(STARTUP_FAILURE)
    return envelope
