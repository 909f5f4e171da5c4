"""A run that says nothing more: everybody in it is asked where they are, the dead included, and nobody lives on."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from tests.github.stuck import Silence, end_steps, give_up

WAITS = "import time; print('ready', flush=True); time.sleep(600)"
# One child that has ended and is never waited for (Python waits for one that nobody holds), and one that waits.
ACT = f"""
import os, subprocess, sys, time
dead = subprocess.Popen(["true"])
os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
subprocess.Popen([sys.executable, "-c", {WAITS!r}])
time.sleep(600)
"""


def test_give_up__tells_of_each_process_what_it_does_and_ends_them(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ACT],
        env=os.environ | {"PYTHONFAULTHANDLER": "1"},
        cwd=tmp_path,  # a core may be left there
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    told = give_up(process.pid)
    assert told.count("\n") == 2
    assert "zombie" in told
    assert "import time; print('ready'" in told
    assert "Fatal Python error: Aborted" in process.stdout.read()
    process.wait()
    assert not psutil.pid_exists(process.pid)


def test_give_up__says_that_nobody_is_there() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    assert give_up(process.pid) == "act is gone"


def left_behind(run: Path) -> subprocess.Popen[str]:
    """Start what nobody hangs up on: a process of a run with a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS],
        env=os.environ | {"LOCAL_RUN": str(run)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_end_steps__ends_what_a_run_left_behind_and_nothing_of_another_run(tmp_path: Path) -> None:
    mine, other = left_behind(tmp_path / "mine"), left_behind(tmp_path / "other")
    end_steps(tmp_path / "mine")
    mine.wait(60)  # else it sleeps for ten minutes
    assert other.poll() is None
    other.kill()
    other.wait()


def test_silence__is_told_once_unless_it_was_ended() -> None:
    told = threading.Event()
    silence = Silence(0.01, told.set)
    silence.start()
    assert told.wait(60)
    ended = Silence(600, lambda: pytest.fail("it was ended"))
    ended.start()
    ended.heard()
    ended.end()
    ended.join(60)
    assert not ended.is_alive()
