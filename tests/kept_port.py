"""A port for a program that has to be told one, which nobody else is given before that program listens."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that is ours and where nobody listens.

    Whoever asks the system for any port, or connects from one, gets another. A program that sets SO_REUSEADDR, as
    servers do, may listen there all the same.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]
