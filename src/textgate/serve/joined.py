"""The header and the body of an answer by one system call."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Joined:
    """What an answer is written to: its header waits for the first bytes of its body, and both go by one system call.

    Each call wakes the client; that costs more than all else uvicorn does for a request.
    """

    __slots__ = ("_cycle", "_header", "_transport")

    def __init__(self, cycle: RequestResponseCycle, transport: asyncio.Transport) -> None:
        """Take the request that is answered, and its connection."""
        self._cycle, self._transport = cycle, transport
        self._header: bytes | None = None

    def write(self, data: bytes) -> None:
        """Write bytes, or keep them if they are the header (uvicorn writes it whole and then the body, if only b"")."""
        if not self._cycle.response_started:  # "100 Continue"
            self._transport.write(data)
        elif self._header is None:
            self._header = data
        else:
            self._transport.write(self._header + data)
            self._header = b""

    def is_closing(self) -> bool:
        """Say whether nothing can be written any more."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Hang up once all is written."""
        self._transport.close()
