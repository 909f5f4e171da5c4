"""One JSON object a line: what the service says about itself and about each request. Never a text, a key or a token."""

from __future__ import annotations

import contextlib
import json
import logging
import select
import sys
import threading
import time
import traceback
from logging.config import dictConfig
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from textgate.errors import CannotTell
from textgate.serve.clock import utc

LOG = logging.getLogger("textgate.serve")
USUAL = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message"}
FRAMES = 20  # of an error, the innermost
ENCODER = json.JSONEncoder(default=str)  # made once: json.dumps makes a new one for each call with an option


class JsonLines(logging.Formatter):
    """A record into one line; what is given as `extra` becomes keys of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Of an exception it shows kind and place; its message may quote what a client sent."""
        line: dict[str, Any] = {"time": utc(record.created), "level": record.levelname.lower()}
        if message := record.getMessage():
            line["message"] = message
        line |= {key: value for key, value in record.__dict__.items() if key not in USUAL}
        if record.exc_info and record.exc_info[1]:
            line |= _where(record.exc_info[1])
        return ENCODER.encode(line)


def write(line: dict[str, Any]) -> None:
    """Write a line past `logging`, whose records take a busy service a tenth of its time.

    A log that nobody reads any more, or whose disk is full, keeps no answer back: the audit log alone does.
    """
    whole = {"time": utc(time.time()), "level": "info", **line}
    try:
        encoded = to_json(whole)  # a third of the time of `json`
    except PydanticSerializationError:  # half a character (a lone surrogate), which UTF-8 lacks
        encoded = ENCODER.encode(whole).encode()
    OUT.put(encoded)


class Out(logging.Handler):
    """stdout, without waiting for who reads it: a line that finds no room is dropped, and it is said how many were.

    A pipe that can be written to has room for 4,096 bytes (PIPE_BUF), and so has this many of the frames of an error.
    """

    def __init__(self) -> None:
        """Write to this process's stdout; until `open`, as anybody does."""
        super().__init__()
        self.dropped = 0
        self._room: select.poll | None = None
        self._alone = threading.Lock()  # the audit log's thread writes too, and `poll` raises if it is asked by two

    def open(self) -> None:
        """Look from now on whether there is room."""
        self._room = select.poll()
        self._room.register(sys.stdout.fileno(), select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; one that cannot be formatted must not fail who logs it."""
        try:
            self.put(self.format(record).encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)

    def put(self, line: bytes) -> None:
        """Write a line. A broken pipe and a full disk keep no answer back either."""
        with self._alone:
            if self._room and not self._room.poll(0):
                self.dropped += 1
                return
            if self.dropped:
                said = {"time": utc(time.time()), "level": "warning", "message": "log not read", "lines": self.dropped}
                line, self.dropped = to_json(said) + b"\n" + line, 0
            with contextlib.suppress(OSError):
                sys.stdout.buffer.write(line + b"\n")
                sys.stdout.buffer.flush()


def _where(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-FRAMES:]],
    }


OUT = Out()
CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonLines}},
    "handlers": {"out": {"()": lambda: OUT, "formatter": "json"}},
    "root": {"level": "WARNING", "handlers": ["out"]},
    "loggers": {"textgate": {"level": "INFO"}, "uvicorn.error": {"level": "ERROR"}},
}


def start() -> None:
    """Write logs as `CONFIG` says, and leave out what no line shows and each would pay for."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.raiseExceptions = False  # a line that cannot be written or formatted is no reason for a traceback
    if sys.stdout is None:
        raise CannotTell("standard output is closed: the service logs to it; send it to a file or to /dev/null")
    OUT.open()
    dictConfig(CONFIG)
