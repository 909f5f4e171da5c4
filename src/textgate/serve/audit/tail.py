"""The end of a slot: where its chain goes on, with half a line cut off."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from textgate.errors import Refused
from textgate.files import sha256_file
from textgate.serve.audit.chain import Head, Link, parse
from textgate.serve.audit.event import Recovered
from textgate.serve.audit.slots import read_anchor, segment, segments, sync
from textgate.serve.clock import utc

WINDOW = 64 * 1024  # bytes read from the end: some ninety lines


@dataclass(frozen=True)
class Tail:
    """The last whole line of a segment (None: it has none), and what stands after it."""

    link: Link | None
    torn: bytes
    size: int  # bytes of the segment without what is torn


@dataclass(frozen=True)
class End:
    """Where a slot goes on: the segment to write to, its size, and the end of the chain."""

    path: Path
    size: int
    head: Head
    recovered: Recovered | None


def tail(path: Path) -> Tail:
    """Read the end of a segment. Raises Refused if its last lines are not what was written there."""
    size, window = path.stat().st_size, WINDOW
    with path.open("rb") as file:
        while True:
            file.seek(max(0, size - window))
            content = file.read(window)
            if window >= size or content.count(b"\n") >= 2:
                break
            window *= 4
    *lines, torn = content.split(b"\n")
    links = [parse(line + b"\n") for line in (lines if window >= size else lines[1:])]
    pairs = zip(links[1:], links, strict=False)
    if None in links or not all(here and before and here.follows(before.head) for here, before in pairs):
        raise Refused(f"{path}: its last lines are not what was written there: run scripts/audit_verify.py")
    return Tail(links[-1] if links else None, torn, size - len(torn))


def resume(slot: Path, now: float) -> End:
    """Find the end of a slot that nobody writes to. Half a line goes from the last segment into NAME-N.torn beside it.

    Raises Refused where the chain does not hold, or for an anchor.json that is none, and leaves everything as it lies.
    """
    paths, anchor = segments(slot), read_anchor(slot)
    if not paths:
        return End(segment(slot, anchor.segment + 1), 0, anchor.head, None)
    last = tail(paths[-1])
    before = next((link for path in reversed(paths[:-1]) if (link := tail(path).link)), None)
    head = last.link.head if last.link else before.head if before else anchor.head
    kept = paths[-1].with_name(f"{paths[-1].stem}-{head.n + 1}.torn")  # after the line that it would have been
    if last.torn:
        _set_aside(last, paths[-1], kept)
    return End(paths[-1], last.size, head, _recovered(paths[-1], kept, now) if kept.exists() else None)


def _set_aside(found: Tail, path: Path, kept: Path) -> None:
    """Move what is torn to the end of the file `kept`: a kill at any moment doubles it there, but loses nothing."""
    with kept.open("ab") as file:
        file.write(found.torn)
        file.flush()
        os.fsync(file.fileno())
    kept.chmod(0o640)
    sync(path.parent)
    os.truncate(path, found.size)
    sync(path)


def _recovered(path: Path, kept: Path, now: float) -> Recovered:
    size, digest = kept.stat().st_size, sha256_file(kept)
    return Recovered(at=utc(now), segment=path.name, torn=kept.name, torn_bytes=size, torn_sha256=digest)
