"""An audit log into the answer whether it is what was written: complete, unchanged and in its order, slot by slot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from textgate.errors import CannotTell, Refused
from textgate.files import sha256_file
from textgate.serve.audit.chain import Head, Link
from textgate.serve.audit.event import Recovered
from textgate.serve.audit.follow import follow
from textgate.serve.audit.slots import SLOT, read_anchor, slots
from textgate.wording import whole

HEAD = re.compile(r"(?:[1-9][0-9]{0,17}:)?[0-9a-f]{64}")
START = Head()
RECOVERED = b'{"kind":"recovered",'


@dataclass
class SlotReport:
    """What was found in one slot."""

    name: str
    deleted: int = 0  # lines that were deleted for their age
    lines: int = 0
    head: Head = START
    torn: int = 0  # half lines that were set aside
    broken: str | None = None

    def line(self) -> str:
        """Return it as one line for a person."""
        if self.broken:
            return f"{self.name}: broken after {whole(self.lines)} good lines: {self.broken}"
        deleted = f", {whole(self.deleted)} before them deleted for their age" if self.deleted else ""
        torn = f", {self.torn} torn and set aside" if self.torn else ""
        return f"{self.name}: {whole(self.lines)} lines hold{deleted}{torn}, head {self.head.n}:{self.head.hash}"


@dataclass(frozen=True)
class Verified:
    """What was found in a log."""

    slots: tuple[SlotReport, ...]
    missing: tuple[str, ...]  # heads that are in no chain, slots whose folder is gone

    @property
    def holds(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.missing and not any(slot.broken for slot in self.slots)


def verify(folder: Path, heads: Sequence[str] = ()) -> Verified:
    """Check every line of a log, and that each of `heads` (HASH or N:HASH, from the server's log) is in it.

    Memory does not grow with the log. Raises CannotTell if there is no log, or a head is none.
    """
    wanted = [_head(text) for text in heads]
    hashes = frozenset(head.split(":")[-1] for head in wanted)
    found = slots(folder) if folder.is_dir() else []
    if not found:
        raise CannotTell(f"{folder}: no audit log is there: name the folder that configs/serve.yaml names")
    seen: set[str] = set()
    reports = tuple(_slot(slot, hashes, seen) for slot in found)
    if not any(report.lines or report.deleted or report.broken for report in reports):
        raise CannotTell(f"{folder}: the audit log there has no lines")
    missing = [f"{head}: in no chain: lines were cut off an end, or are deleted" for head in wanted if head not in seen]
    here = {slot.name for slot in found}
    last = max(int(name[1]) for slot in found if (name := SLOT.fullmatch(slot.name)))
    gone = [f"slot-{number}" for number in range(1, last) if f"slot-{number}" not in here]
    return Verified(reports, (*missing, *(f"{folder / name}: removed: there are later slots" for name in gone)))


def _head(text: str) -> str:
    head = text.strip().lower()
    if not HEAD.fullmatch(head):
        raise CannotTell(f"{text[:80]!r} is no head: give the hash, or n:hash, from the server's log (audit head)")
    return head


def _slot(slot: Path, hashes: frozenset[str], seen: set[str]) -> SlotReport:
    """Check one slot; put those of `hashes` that its chain has, alone and as N:HASH, into `seen`."""
    report = SlotReport(slot.name)
    try:
        report.head = read_anchor(slot).head
        report.deleted = report.head.n
        _note(report.head, hashes, seen)
        for link in follow(slot):
            report.lines, report.head = report.lines + 1, link.head
            _note(link.head, hashes, seen)
            if link.event.startswith(RECOVERED):
                _check_torn(slot, link)
                report.torn += 1
    except Refused as error:
        report.broken = str(error)
    return report


def _note(head: Head, hashes: frozenset[str], seen: set[str]) -> None:
    if head.hash in hashes:
        seen |= {head.hash, f"{head.n}:{head.hash}"}


def _check_torn(slot: Path, link: Link) -> None:
    """Raise Refused unless what was cut off still lies beside its segment."""
    try:
        recovered = Recovered.model_validate_json(link.event)
    except ValidationError as error:
        raise Refused(f"{slot}, n {link.n}: changed: no event as the server writes it") from error
    path = slot / Path(recovered.torn).name
    if not path.is_file() or sha256_file(path) != recovered.torn_sha256:
        raise Refused(f"{path}: {'changed' if path.exists() else 'removed'}: n {link.n} says what it held")
