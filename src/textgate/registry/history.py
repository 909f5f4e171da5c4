"""How the champion changed: events in the order of their numbers, whatever the clocks say, and the way back."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import StringConstraints

from textgate.errors import Refused
from textgate.evidence import VERSION
from textgate.records import Count, Record

Version = Annotated[str, StringConstraints(pattern=VERSION)]
Time = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
By = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@\[\]-]{1,60}$")]


class Event(Record):
    """A change of champion. One that nobody recorded, made by hand in the store, has no number, time or name."""

    number: Count = 0
    version: Version | None  # the champion from then on
    before: Version | None
    rollback: bool = False
    at: Time | None = None  # UTC, by the clock of whoever did it
    by: By | None = None


def next_event(events: Iterable[Event], version: str | None, before: str | None, *, rollback: bool) -> Event:
    """Return the event that comes after all others."""
    return Event(
        number=max((event.number for event in events), default=0) + 1,
        version=version,
        before=before,
        rollback=rollback,
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        by=_who(),
    )


def in_effect(events: Iterable[Event], champion: str | None) -> tuple[Event, ...]:
    """Return what really happened, oldest first, seen from who is the champion now.

    An event is written before the champion moves, so a killed change may have left one that never came true: the
    next one starts from the same version. Where the chain has a gap, somebody moved the champion by hand.
    """
    found: list[Event] = []
    after = champion
    for event in sorted(events, key=lambda event: event.number, reverse=True):
        if event.version != after:
            if event.before == after:
                continue
            found.append(Event(version=after, before=event.version))
        found.append(event)
        after = event.before
    if after is not None:
        found.append(Event(version=after, before=None))
    return tuple(reversed(found))


def replaced(happened: Sequence[Event], version: str) -> str | None:
    """Return the version that a promotion of this one replaces; if it is the champion already, the one it replaced.

    What a rollback left is not gone back to.
    """
    if not happened:
        return None
    last = happened[-1]
    if last.version != version:
        return last.version
    return None if last.rollback else last.before


def way_back(happened: Sequence[Event]) -> str:
    """Return the version that served before the champion. Raises Refused if there is no champion, or none before.

    A version that was left by a rollback is not gone back to.
    """
    served: list[str | None] = []
    for event in happened:
        if event.rollback and event.version in served:
            del served[len(served) - served[::-1].index(event.version) :]
        else:
            served.append(event.version)
    if not served or served[-1] is None:
        raise Refused("there is no champion to go back from: promote a version")
    before = [version for version in served[:-1] if version not in (None, served[-1])]
    if not before:
        raise Refused(f"no version served before {served[-1]}: promote the one that you want")
    return str(before[-1])


def _who() -> str:
    """Return the account that did it: GitHub's on GitHub, else the machine's."""
    try:
        name = os.environ.get("GITHUB_ACTOR") or getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        name = ""
    return re.sub(r"[^A-Za-z0-9_.@\[\]-]", "_", name)[:60] or "unknown"
