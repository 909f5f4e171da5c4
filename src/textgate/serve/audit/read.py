"""The audit log into answers, one at a time, for drift and A/B reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from textgate.errors import CannotTell, Refused
from textgate.serve.audit.event import ENTRY, Event
from textgate.serve.audit.follow import Broken, follow
from textgate.serve.audit.slots import slots


def read(folder: Path) -> Iterator[Event]:
    """Yield the answers slot by slot, each in its order, checking the chain on the way; memory does not grow.

    A server may be writing meanwhile: half a line at the very end is no answer yet. Raises CannotTell without a log,
    and Refused, with file and line, where the chain does not hold.
    """
    if not folder.is_dir() or not (found := slots(folder)):
        raise CannotTell(f"{folder}: no audit log is there: name the folder that configs/serve.yaml names")
    for slot in found:
        try:
            for link in follow(slot):
                if isinstance(entry := ENTRY.validate_json(link.event), Event):
                    yield entry
        except Broken as broken:
            if broken.what != "torn":
                raise
        except ValidationError as error:
            what = error.errors(include_url=False)[0]["msg"]
            raise Refused(f"{slot}, n {link.n}: no event of this version ({what}): read it with the one") from error
