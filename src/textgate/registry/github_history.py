"""How the champion changed, kept in the descriptions of GitHub's releases: no right, branch or file of its own.

The request that makes a release the latest also writes the event to the end of its description, as a comment that
the page does not show. So both happen, or neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from textgate.errors import CannotTell
from textgate.evidence import VERSION
from textgate.registry.history import Event, in_effect, next_event
from textgate.registry.releases import Found

START, END = "<!-- textgate champion ", " -->"


def happened(releases: Iterable[Found], latest: str | None) -> tuple[Event, ...]:
    """Return how the champion changed, oldest first; what was moved by hand has no time and no name."""
    return in_effect(_events(releases), _version(latest))


def promotion(releases: Iterable[Found], found: Found, latest: str | None, *, rollback: bool) -> dict[str, Any]:
    """Return the change of a release that makes it the latest, and writes down who did that if nobody is known.

    It is made the latest also where it is that already: it may be so only because nobody said which one is.
    """
    events, version, before = _events(releases), found.tag_name, _version(latest)
    past = in_effect(events, before)
    if before == version and past[-1].number:
        return {"make_latest": "true"}
    came_from = past[-1].before if before == version else before
    event = next_event(events, version, came_from, rollback=rollback)
    body = f"{(found.body or '').rstrip()}\n\n{START}{event.model_dump_json()}{END}\n"
    return {"make_latest": "true", "body": body}


def _events(releases: Iterable[Found]) -> tuple[Event, ...]:
    return tuple(event for found in releases for event in _of(found))


def _of(found: Found) -> Iterable[Event]:
    """Yield the events of one release, from its last line up: what stands above, others wrote."""
    for line in reversed((found.body or "").rstrip().splitlines()):
        text = line.strip()
        if text and not (text.startswith(START) and text.endswith(END)):
            return
        if text:
            try:
                event = Event.model_validate_json(text.removeprefix(START).removesuffix(END))
            except ValidationError as error:
                raise CannotTell(f"the description of {found.tag_name} ends in a broken history: mend it") from error
            if event.version == found.tag_name:
                yield event


def _version(tag: str | None) -> str | None:
    return tag if tag and VERSION.fullmatch(tag) else None
