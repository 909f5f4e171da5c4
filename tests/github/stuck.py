"""What a run that takes too long waits for: said by its processes, before they are ended."""

import contextlib
import os
import signal
import time

import psutil

MOST_CHARACTERS = 200  # of a command
ANSWER_SECONDS, READ_SECONDS = 5.0, 1.0


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
            for process in steps:
                _ask(process)
            psutil.wait_procs(steps, timeout=ANSWER_SECONDS)
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


def _ask(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        if process.name().startswith("python"):
            process.send_signal(signal.SIGABRT)


def end(number: int) -> None:
    """Kill act; its steps lose their terminal with it, and are hung up on."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)
