"""How often a client may ask: token buckets, in memory that does not grow with the number of clients."""

from __future__ import annotations

import math
from collections import OrderedDict

from textgate.serve.access.settings import Rate
from textgate.serve.problems import Problem


class Buckets:
    """A token bucket for each client (Turner 1986; RFC 2697 calls it a meter). Not shared between processes."""

    def __init__(self, rate: Rate) -> None:
        """Start with every client's bucket full."""
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, client: str, now: float) -> float:
        """Take a token at a monotonic time in seconds; return 0, or the seconds until there is one."""
        left, counted = self._left.pop(client, (float(self._rate.burst), now))
        left = min(self._rate.burst, left + (now - counted) * self._rate.per_second)
        allowed = left >= 1
        self._left[client] = (left - allowed, now)  # the end of the dict: used last
        if len(self._left) > self._rate.clients:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate.per_second

    def remembered(self) -> int:
        """Return how many buckets are in memory."""
        return len(self._left)

    def check(self, client: str, now: float) -> None:
        """Take a token, or raise Problem 429 (RFC 6585; fields of draft-ietf-httpapi-ratelimit-headers-10)."""
        if wait := self.take(client, now):
            seconds = math.ceil(wait)
            window = math.ceil(self._rate.burst / self._rate.per_second)
            headers = {
                "Retry-After": str(seconds),
                "RateLimit-Policy": f'"client";q={self._rate.burst};w={window}',
                "RateLimit": f'"client";r=0;t={seconds}',
            }
            raise Problem(429, f"Too many requests: ask again in {seconds} s.", headers)
