"""What a run that says nothing more waits for: said by its processes, before they are ended."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

MOST_CHARACTERS = 200  # of a command
ANSWER_SECONDS, READ_SECONDS = 60.0, 1.0


class Silence(threading.Thread):
    """Calls `then` once if nothing is heard for some seconds: what works says something, on a slow machine too."""

    def __init__(self, seconds: float, then: Callable[[], object]) -> None:
        """Take both; `start` begins to count."""
        super().__init__(daemon=True)
        self._seconds, self._then, self._news, self._over = seconds, then, threading.Event(), False

    def heard(self) -> None:
        """Count anew."""
        self._news.set()

    def end(self) -> None:
        """Count no more."""
        self._over = True
        self._news.set()

    def run(self) -> None:
        """Count."""
        while self._news.wait(self._seconds):
            self._news.clear()
            if self._over:
                return
        self._then()


def give_up(number: int) -> str:
    """Return what act (by its process id) and everything below it were doing, and end them.

    Python prints its stacks on SIGABRT (PYTHONFAULTHANDLER is set) into the step's output, act on SIGQUIT into its own.
    """
    told = "act is gone"
    try:
        with contextlib.suppress(psutil.Error):
            act = psutil.Process(number)
            steps = act.children(recursive=True)
            told = "\n".join(_told(process) for process in (act, *steps))
            asked = [process for process in steps if _ask(process)]
            _wait(asked)
            time.sleep(READ_SECONDS)  # act still reads what they said
            act.send_signal(signal.SIGQUIT)
            psutil.wait_procs([act], timeout=ANSWER_SECONDS)
    finally:
        end(number)
    return told


def _told(process: psutil.Process) -> str:
    try:
        with process.oneshot():
            command = " ".join(" ".join(process.cmdline()).split())
            return f"{process.pid} {process.status()} {command[:MOST_CHARACTERS]}"
    except psutil.Error as problem:  # it may have ended meanwhile
        return str(problem)


def _ask(process: psutil.Process) -> bool:
    """Ask a process where it is, which ends it; False if it would not say."""
    with contextlib.suppress(psutil.Error):
        if process.name().startswith("python"):
            process.send_signal(signal.SIGABRT)
            return True
    return False


def _wait(processes: list[psutil.Process]) -> None:
    """Wait until all have ended; whoever started them need not have learned it."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def end(number: int) -> None:
    """Kill act; its steps lose their terminal with it, and are hung up on."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)


def end_steps(run: Path) -> None:
    """Kill what is left of the steps of a run, such as what has a session of its own, and wait until it is gone.

    GitHub's runner finds them in the same way, by a variable of their environment. AssertionError if they stay.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while left := [process for process in psutil.process_iter() if _run_of(process) == str(run)]:
        assert time.monotonic() < deadline, f"cannot be ended: {left}"
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.1)


def _run_of(process: psutil.Process) -> str | None:
    with contextlib.suppress(psutil.Error):
        return process.environ().get("LOCAL_RUN")
    return None
