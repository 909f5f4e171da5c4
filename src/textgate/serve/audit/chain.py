r"""Lines that hold together: each names its number and the hash of the line before, and ends in its own hash.

A line is `{"n":7,"prev":"<64 digits>","event":{…},"hash":"<64 digits>"}` and a line feed, without other white space.
`hash` is the SHA-256 of the bytes of the line before `,"hash":`, so number, previous hash and event are all under it,
and whoever checks it needs no canonical JSON. The first line of a chain has n 1 and 64 zeros as `prev`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

GENESIS = "0" * 64
MAX_LINE = 4 * 1024 * 1024  # a text of ten thousand characters takes 60 kB at the very most
_LINE = re.compile(
    rb'(\{"n":([1-9][0-9]{0,17}),"prev":"([0-9a-f]{64})","event":(\{.*\})),"hash":"([0-9a-f]{64})"\}\n', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: how many lines it ever had, and the hash of the last."""

    n: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Link:
    """A line whose hash is that of its bytes."""

    n: int
    prev: str
    event: bytes  # JSON
    hash: str

    def follows(self, head: Head) -> bool:
        """Say whether this line may stand after `head`."""
        return self.n == head.n + 1 and self.prev == head.hash

    @property
    def head(self) -> Head:
        """Return the end of a chain that ends in this line."""
        return Head(self.n, self.hash)


def bind(head: Head, event: bytes) -> tuple[bytes, Head]:
    """Return the line that says `event` (a JSON object without line feeds) after `head`, and the new head."""
    body = b'{"n":%d,"prev":"%s","event":%s' % (head.n + 1, head.hash.encode(), event)
    digest = sha256(body).hexdigest()
    return b'%s,"hash":"%s"}\n' % (body, digest.encode()), Head(head.n + 1, digest)


def parse(line: bytes) -> Link | None:
    """Return a whole line as a link, or None if it has another form or its hash is not that of its bytes."""
    found = _LINE.fullmatch(line)
    if found is None or sha256(found[1]).hexdigest().encode() != found[5]:
        return None
    return Link(int(found[2]), found[3].decode(), found[4], found[5].decode())
