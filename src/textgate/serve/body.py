"""The bytes of a request's body: all of them, or a Problem; never more than allowed and not for longer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Message, Receive

from textgate.serve.problems import Problem


class Gone(Exception):
    """The client hung up before its request was whole."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, most: int, seconds: float) -> bytes:
    """Return the body. Raises Problem 413 (more than `most` bytes) or 408 (too slow), or Gone."""
    length = headers.get(b"content-length", b"0")
    if len(length) > 15 or int(length) > most:  # the parser let digits through and nothing else
        raise _too_large(most)
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
            body = _part(message)
            while message.get("more_body") and len(body) <= most:
                message = await receive()
                body += _part(message)
    except TimeoutError as error:
        raise Problem(408, "The body took too long to arrive.", {"Connection": "close"}) from error
    if len(body) > most:
        raise _too_large(most)
    return body


def _part(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise Gone
    part: bytes = message.get("body", b"")
    return part


def _too_large(most: int) -> Problem:
    return Problem(413, f"The body may have at most {most} bytes.")
