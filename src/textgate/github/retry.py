"""A command that talks to GitHub, run again while that can help; its last failure in one line."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from textgate.errors import CannotTell
from textgate.report.markdown import visible

WAITS = (2.0, 8.0)  # seconds between three tries, where the message does not say how long
LONGEST_WAIT = 60.0
SECONDS = 300  # for one try
TOKENS = ("REPO_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
SHOWN = 300
KEPT = 64 * 1024  # characters of output that are looked at
STATUS = re.compile(r"(?:status|http|code|error)[^0-9a-z]{0,12}([45][0-9]{2})\b|\(([45][0-9]{2})\)", re.IGNORECASE)
WAIT = re.compile(r"retry[- ]?after[^0-9]{0,12}([0-9]{1,6})\b|(?:wait|in) ([0-9]{1,6}) ?s(?:econds)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Trouble:
    """One way in which GitHub does not do it: how it shows, whether it may pass, and the cure."""

    what: str
    words: str  # a pattern, in what the command printed
    status: str  # a pattern
    cure: str
    passes: bool = False


LIMITED = Trouble("GitHub's rate limit is reached", "rate limit|abuse detection", "429", "run this again later", True)
TROUBLES = (
    LIMITED,
    Trouble(
        "GitHub does not take the token (401)",
        "bad credentials|requires authentication",
        "401",
        "give this step a valid token",
    ),
    Trouble("GitHub did not accept it (422)", "validation failed|unprocessable|too long", "422", "it has to be mended"),
    Trouble(
        "the token has no right to do this (403)",
        "resource not accessible|forbidden",
        "403",
        "see the permissions of the job",
    ),
    Trouble(
        "GitHub is in trouble (5xx)",
        "bad gateway|service unavailable|gateway time-?out|internal server error",
        "5..",
        "run this again later",
        True,
    ),
    Trouble(
        "GitHub cannot be reached",
        r"enotfound|econn\w+|etimedout|eai_again|socket hang up|fetch failed|network|certificate",
        "never",
        "look at the network, then run this again",
        True,
    ),
    Trouble("not found (404)", "not found", "404", "it does not exist, or the token may not see it"),
)
UNKNOWN = Trouble("it failed", "", "", "look at what it printed")


def run(command: Sequence[str]) -> None:
    """Run a command, in at most three tries, and pass on what it prints, without tokens.

    Raises CannotTell if it is not installed or does not end with 0.
    """
    for wait in (*WAITS, None):
        code, printed = _once(command)
        if code == 0:
            return
        trouble = _trouble(printed)
        pause = _pause(printed, wait) if trouble.passes and wait is not None else None
        if pause is None:
            said = f"{command[0]} ended with exit code {code}: {trouble.what}: {_said(printed)}"
            raise CannotTell(f"{said}: {trouble.cure}")
        print(f"{trouble.what}: next try in {pause:.0f} s", flush=True)
        time.sleep(pause)


def _once(command: Sequence[str]) -> tuple[int, str]:
    """Run the command once and return its exit code and the end of what it printed."""
    hidden = [value for name in TOKENS if (value := os.environ.get(name))]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError as error:
        raise CannotTell(
            f"{command[0]} is not installed: install it in an earlier step, then run this again"
        ) from error
    printed = ""
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    try:
        for line in process.stdout or ():
            safe = functools.reduce(lambda text, value: text.replace(value, "***"), hidden, line)
            print(safe, end="", flush=True)
            printed = (printed + safe)[-KEPT:]
        return process.wait(), printed
    finally:
        timer.cancel()
        process.kill()
        process.wait()


def _trouble(printed: str) -> Trouble:
    """Return what went wrong, told by the status that was printed last, otherwise by words."""
    if re.search(LIMITED.words, printed, re.IGNORECASE):  # its status can be 403
        return LIMITED
    status = ["".join(found) for found in STATUS.findall(printed)][-1:]
    by_status = [trouble for trouble in TROUBLES if status and re.fullmatch(trouble.status, status[0])]
    by_words = [trouble for trouble in TROUBLES if re.search(trouble.words, printed, re.IGNORECASE)]
    return (*by_status, *by_words, UNKNOWN)[0]


def _pause(printed: str, otherwise: float) -> float | None:
    """Return the seconds to wait; None if that is too long."""
    found = WAIT.search(printed)
    wait = float(found[1] or found[2]) if found else otherwise
    return wait if wait <= LONGEST_WAIT else None


def _said(printed: str) -> str:
    """Return the message in what was printed, or its last line that is not indented, as a stack trace is; one line."""
    lines = [line for line in printed.splitlines() if line.strip() and not line.startswith((" ", "\t"))]
    for line in reversed(lines):
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and isinstance(told.get("message"), str):
            return visible(told["message"], SHOWN)
    return visible(lines[-1], SHOWN) if lines else "it printed nothing"
