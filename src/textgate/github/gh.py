"""One request to GitHub's REST API through the `gh` program into its answer; tried again where that can help.

`gh` has the host, the proxy, the certificates and the token from its own environment: none of them passes through here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from textgate.errors import CannotTell, Refused
from textgate.report.markdown import visible

API_VERSION = "2022-11-28"
WAITS = (1.0, 4.0)  # seconds between three tries, where GitHub does not say how long
LONGEST_WAIT = 60.0
SECONDS = 300  # for one request, large files included
HEAD_BYTES = 64 * 1024
MESSAGE_BYTES = 64 * 1024
BLOCK = 64 * 1024
MEANS = {
    401: ("GitHub does not take the token", "give this step a valid GH_TOKEN"),
    403: ("the token has no right to do this", "see the permissions of the job"),
    404: ("not found", "it does not exist, or the token may not see it"),
    422: ("GitHub did not accept what was sent", "mend it, then run this again"),
    500: ("GitHub is in trouble", "run this again later"),
}
OTHERWISE = ("GitHub did not do it", "see what it says, or run this again")
QUIET = {
    "GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1",
    "GH_FORCE_TTY": "", "CLICOLOR_FORCE": "", "GH_DEBUG": "", "DEBUG": "",
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What is asked: `path` lies below the API's root, or is a whole https address."""

    method: str
    path: str
    accept: str = "application/vnd.github+json"
    body: Path | None = None
    body_type: str = "application/json"


@dataclass(frozen=True)
class Answer:
    """What came back. Status 0: nothing, or not all of it; `said` then holds the words of gh."""

    status: int
    headers: dict[str, str]  # names in lower case
    message: str  # what GitHub said about an error, one line
    said: str = ""

    @property
    def good(self) -> bool:
        """Say whether GitHub did what it was asked."""
        return 200 <= self.status < 300


def ask(request: Request, into: BinaryIO, limit: int) -> Answer:
    """Send a request, in at most three tries, and write the body of a good answer `into` an empty file.

    Raises Refused above `limit` bytes, CannotTell if gh is not installed. Any other failure is an Answer.
    """
    for wait in (*WAITS, None):
        answer = _once(request, into, limit)
        pause = None if answer.good or wait is None else _pause(request, answer, wait)
        if pause is None:
            break
        time.sleep(pause)
    return answer


def explain(request: Request, answer: Answer) -> CannotTell:
    """Return the one line for an answer that is not good."""
    what, said = f"{request.method} {request.path.partition('?')[0]}", f" ({answer.message})" if answer.message else ""
    if answer.status == 0:
        return CannotTell(f"{what}: {_without_answer(answer.said)}")
    if _limited(answer):
        return CannotTell(f"{what}: GitHub's rate limit is reached{said}: run this again later")
    words, cure = MEANS.get(min(500, answer.status), OTHERWISE)
    return CannotTell(f"{what}: {words} ({answer.status}){said}: {cure}")


def _once(request: Request, into: BinaryIO, limit: int) -> Answer:
    into.seek(0)
    into.truncate()
    with tempfile.TemporaryFile() as errors:
        process = _start(request, errors)
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        try:
            with process.stdout as out:  # type: ignore[union-attr] # it is a pipe
                status, headers = _head(out)
                told = "" if 200 <= status < 300 else _message(out.read(MESSAGE_BYTES))
                if 200 <= status < 300:
                    _copy(request, out, into, limit)
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            timer.cancel()
        errors.seek(0)
        said = visible(errors.read(MESSAGE_BYTES).decode("utf-8", "replace"), 300)
    if code == -signal.SIGKILL:
        said = f"no answer within {SECONDS} s"
    whole = code == 0 or (status >= 300 and code > 0)
    return Answer(status if whole else 0, headers, told, said)


def _start(request: Request, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    command = ["gh", "api", "--include", "--method", request.method, "--header", f"Accept: {request.accept}"]
    command += ["--header", f"X-GitHub-Api-Version: {API_VERSION}"]
    if request.body is not None:
        command += ["--header", f"Content-Type: {request.body_type}", "--input", str(request.body)]
    try:
        return subprocess.Popen(
            [*command, request.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | QUIET,
        )
    except FileNotFoundError as error:
        raise CannotTell(
            "gh is not installed: install GitHub's command line program (https://cli.github.com)"
        ) from error


def _head(out: IO[bytes]) -> tuple[int, dict[str, str]]:
    """Read the status line and the headers; status 0 if there are none."""
    words = out.readline(HEAD_BYTES).decode("utf-8", "replace").split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        return 0, {}
    headers = {}
    for _ in range(200):
        line = out.readline(HEAD_BYTES).decode("utf-8", "replace").strip()
        if not line:
            break
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(words[1]), headers


def _copy(request: Request, out: IO[bytes], into: BinaryIO, limit: int) -> None:
    taken = 0
    while block := out.read(BLOCK):
        taken += len(block)
        if taken > limit:
            raise Refused(f"{request.method} {request.path.partition('?')[0]}: more than {limit:,} bytes: not taken")
        into.write(block)


def _message(body: bytes) -> str:
    """Return what GitHub says in the body of an error, one line; nothing if it is a page or not JSON."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(told, dict):
        return ""
    details = told.get("errors")
    parts = [told.get("message"), *(details if isinstance(details, list) else [details])]
    words = (part.get("message") or part.get("code") if isinstance(part, dict) else part for part in parts)
    return visible("; ".join(str(word) for word in words if word), 300)


def _limited(answer: Answer) -> bool:
    told = "rate limit" in answer.message.lower() or "retry-after" in answer.headers
    spent = answer.headers.get("x-ratelimit-remaining") == "0"
    return answer.status == 429 or (answer.status == 403 and (told or spent))


def _pause(request: Request, answer: Answer, otherwise: float) -> float | None:
    """Return how many seconds to wait before the next try; None if another try cannot help.

    A POST that may have been carried out is not sent again: it could make a second release or comment.
    """
    limited = _limited(answer)
    unclear = answer.status == 0 or answer.status >= 500
    if not limited and not (unclear and (request.method != "POST" or answer.status == 503)):
        return None
    wait = _number(answer.headers.get("retry-after"))
    if wait is None and limited and answer.headers.get("x-ratelimit-remaining") == "0":
        reset = _number(answer.headers.get("x-ratelimit-reset"))
        wait = None if reset is None else max(otherwise, reset - time.time())
    wait = otherwise if wait is None else wait
    return wait if wait <= LONGEST_WAIT else None


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() and len(text) < 12 else None


def _without_answer(said: str) -> str:
    """Return what kept an answer from coming, and the cure."""
    if "gh auth login" in said or "GH_TOKEN" in said:
        return "gh has no token for this host: give this step one in GH_TOKEN"
    return f"GitHub cannot be reached ({said or 'it sent no answer'}): look at the network, then run this again"
