"""One JSON object a line: what the service says about itself and about each request. Never a text, a key or a token."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
import traceback
from functools import lru_cache
from logging.config import dictConfig
from typing import Any

LOG = logging.getLogger("textgate.serve")
USUAL = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message"}
ENCODER = json.JSONEncoder(default=str)  # made once: json.dumps makes a new one for each call with an option


class JsonLines(logging.Formatter):
    """A record into one line; what is given as `extra` becomes keys of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Of an exception it shows kind and place; its message may quote what a client sent."""
        line: dict[str, Any] = {"time": _time(record.created), "level": record.levelname.lower()}
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
    with contextlib.suppress(OSError):
        sys.stdout.write(ENCODER.encode({"time": _time(time.time()), "level": "info", **line}) + "\n")
        sys.stdout.flush()


def _time(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _where(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonLines}},
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "root": {"level": "WARNING", "handlers": ["out"]},
    "loggers": {"textgate": {"level": "INFO"}, "uvicorn.error": {"level": "ERROR"}},
}


def start() -> None:
    """Write logs as `CONFIG` says, and leave out what no line shows and each would pay for."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.raiseExceptions = False  # a line that cannot be written is no reason for a traceback
    dictConfig(CONFIG)
