"""Several processes that serve, kept alive by one that does not: uvicorn's supervisor, changed.

A worker may take a while to start on a busy machine; one that cannot start, because another model lies there and is
refused, does not take those along that answer; and what is gone leaves no figures behind.
"""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from textgate.serve.logs import LOG

SILENT_SECONDS = (
    30.0  # who says nothing for so long hangs: it is many times what a start takes (make bench-serve-start)
)
AGAIN_SECONDS = 5.0  # between two tries to start a worker whose model is refused
STEP_SECONDS = 0.1


class Worker(Process):
    """A worker of which we hear at once that it died: the pipe, which we hold ourselves too, does not tell."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], signals: list[int]) -> None:
        """Take the signals that the supervisor has still to handle."""
        super().__init__(config, sockets)
        self._signals = signals

    def _healthcheck(self, timeout: float) -> bool | None:
        """Return whether it serves already; None if it says nothing. A signal is not kept waiting by one that hangs."""
        end = time.monotonic() + timeout
        try:
            self.parent_conn.send(b"ping")
            while not self.parent_conn.poll(STEP_SECONDS):
                if time.monotonic() > end or not self.process.is_alive():
                    return None
                if self._signals:
                    return True  # it is asked again
            return bool(self.parent_conn.recv())
        except (OSError, EOFError):
            return None


class Supervisor(Multiprocess):
    """Keeps workers alive. `failed` says that it ended because none could start."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], figures: Path) -> None:
        """Take uvicorn's settings, the sockets, and the folder in which workers leave their figures."""
        hangup = signal.getsignal(signal.SIGHUP)
        super().__init__(config, sockets)
        if hangup == signal.SIG_IGN:  # under nohup; uvicorn listens to it all the same
            signal.signal(signal.SIGHUP, hangup)
        self.failed = False
        self._figures = figures
        self._again = 0.0  # when one that could not start is tried again

    def init_processes(self) -> None:
        """Start the workers."""
        for _ in range(self.processes_num):
            self._add()

    def keep_subprocess_alive(self) -> None:
        """Replace workers that died or hang. The service ends if one can't start and no other answers."""
        for process in list(self.processes):
            if self.should_exit.is_set():
                return
            if not process.is_alive(timeout=SILENT_SECONDS):
                self._remove(process)
        missing = len(self.processes) < self.processes_num and time.monotonic() >= self._again
        if missing and not self.should_exit.is_set():
            self._add()
        self._forget_the_dead()

    def handle_hup(self) -> None:
        """End as SIGTERM does: a closed terminal must not leave us behind."""
        self.handle_term()

    def handle_ttin(self) -> None:
        """Add a worker."""
        self.processes_num += 1
        self._add()

    def handle_ttou(self) -> None:
        """Take a worker away: first one that is not there, because its model is refused."""
        if len(self.processes) < self.processes_num:
            self.processes_num = max(1, self.processes_num - 1)
        else:
            super().handle_ttou()

    def terminate_all(self) -> None:
        """End the workers; the socket is closed as soon as the last of them lets nobody in any more."""
        for listening in self.sockets:
            listening.close()
        super().terminate_all()

    def _add(self) -> None:
        process = Worker(self.config, self.sockets, self.signal_queue)
        process.start()
        self.processes.append(process)

    def _remove(self, process: Process) -> None:
        process.kill()  # it may hang
        process.join()
        self.processes.remove(process)
        which = {"pid": process.pid, "exit_code": process.exitcode}
        if process.exitcode != STARTUP_FAILURE:
            LOG.error("a worker ended, another one is started", extra=which)
        elif any(other.is_ready(SILENT_SECONDS) for other in self.processes):
            self._again = time.monotonic() + AGAIN_SECONDS
            for path in self._figures.glob(f"*_{process.pid}.db"):  # it counted nothing, and many may come after it
                path.unlink()
            LOG.error("a worker could not start, it will be tried again; others answer", extra=which)
        else:
            self.failed = True
            self.should_exit.set()

    def _forget_the_dead(self) -> None:
        """Drop what processes that are gone said about themselves as alive."""
        alive = {str(process.pid) for process in self.processes}
        for pid in {path.stem.rpartition("_")[2] for path in self._figures.glob("gauge_live*.db")} - alive:
            mark_process_dead(pid)
