"""A run that takes too long: everybody in it is asked where they are, the dead included, and nobody lives on."""

import os
import subprocess
import sys

import psutil
from tests.github.stuck import give_up

WAITS = "import time; print('ready', flush=True); time.sleep(600)"
# One child that has ended and is never waited for (Python waits for one that nobody holds), and one that waits.
ACT = f"""
import os, subprocess, sys, time
dead = subprocess.Popen(["true"])
os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
subprocess.Popen([sys.executable, "-c", {WAITS!r}])
time.sleep(600)
"""


def test_give_up__tells_of_each_process_what_it_does_and_ends_them() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ACT],
        env=os.environ | {"PYTHONFAULTHANDLER": "1"},
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
