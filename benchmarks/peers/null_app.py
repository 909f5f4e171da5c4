"""Answers every request at once, without looking at it: what the load generator can do. `null_app.py null PORT`."""

# ruff: noqa: INP001, D102 - a yardstick

import asyncio
import sys

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Null(asyncio.Protocol):
    """One request is one read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, _data: bytes) -> None:
        self.transport.write(ANSWER)


async def main() -> None:
    """Answer until killed."""
    server = await asyncio.get_running_loop().create_server(Null, "127.0.0.1", int(sys.argv[2]))
    await server.serve_forever()


uvloop.run(main())
