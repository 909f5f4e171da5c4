"""The time as the service's logs write it."""

from __future__ import annotations

import time
from functools import lru_cache


def utc(seconds: float) -> str:
    """Return a time, in seconds since 1970, as 2026-11-21T15:40:35.123Z. Sorted as text, it is sorted by time."""
    whole, micros = divmod(round(seconds * 1e6), 1_000_000)
    return f"{_second(whole)}.{micros // 1000:03}Z"


@lru_cache(maxsize=2)  # every line of a second begins alike
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
