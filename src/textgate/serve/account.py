"""One request: its id, and, when it is answered, its line in the log and the figures."""

from __future__ import annotations

import os
import re
from functools import cache

from prometheus_client import Counter, Histogram

from textgate.serve.logs import write
from textgate.serve.metrics import REJECTED, REQUEST_SECONDS, REQUESTS

PLAIN_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GONE = 499  # in log and figures, as nginx has it: nobody was there to be answered
REASONS = {400: "bad", 415: "bad", 422: "bad", 401: "access", 403: "access", 408: "slow", 413: "size", 429: "rate"}


def id_of(brought: bytes) -> str:
    """Return the id that a request brought, if it is a plain UUID, or a new one."""
    return str(brought, "ascii") if PLAIN_UUID.fullmatch(brought) else new_id()


def new_id() -> str:
    """Return a random UUID of version 4 (RFC 9562, 5.4), in a third of the time that `uuid` takes."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def account(
    endpoint: str, status: int, seconds: float | None, request_id: str, client: str, version: str | None
) -> None:
    """Note one request; `endpoint` is one of few, whatever the client asked for, as figures are kept for each.

    `seconds` is None for who was turned away unheard: his times would make those of the others look short.
    """
    requests, times = _figures(endpoint, status)
    requests.inc()
    if seconds is not None:
        times.observe(seconds)
    if reason := REASONS.get(status, "busy" if status == 503 and endpoint in ("/predict", "/explain") else None):
        REJECTED.labels(reason).inc()
    asked = {"request_id": request_id, "client": client, "endpoint": endpoint}
    write({**asked, "status": status, "ms": round((seconds or 0.0) * 1000, 2), "version": version})


@cache  # endpoints and statuses are few, and finding a figure by its labels takes longer than to count
def _figures(endpoint: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(endpoint, status), REQUEST_SECONDS.labels(endpoint)
