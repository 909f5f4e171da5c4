"""Answers, one after the other, into the sums that a comparison is made of; memory does not grow with the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from textgate.ab.labels import Key
from textgate.ab.sums import Sums
from textgate.ab.window import Window
from textgate.serve.audit.event import Event

Side = Literal["champion", "challenger"]
Group = Literal["client", "request"]
Counts = Counter[Hashable]
SIDES: tuple[Side, Side] = ("champion", "challenger")
Name = TypeVar("Name", bound=Hashable)
OPEN = 20_000  # requests whose texts may still come, answers whose pair may: far more than are under way at once
BINS = 10


@dataclass
class Answers:
    """What one of the two said."""

    said: Sums = field(default_factory=Sums)  # hits: labels
    marked: Sums = field(default_factory=Sums)  # of texts with a true label; hits: "right"
    confidence: list[int] = field(default_factory=lambda: [0] * BINS)
    confidence_sum: float = 0.0

    def see(self, event: Event) -> None:
        """Count one answer's confidence."""
        self.confidence[min(BINS - 1, int(event.confidence * BINS))] += 1
        self.confidence_sum += event.confidence


@dataclass
class Tally:
    """Everything that was counted. In a shadow, groups are requests, and sums are over pairs of answers."""

    sides: dict[Side, Answers] = field(default_factory=lambda: {side: Answers() for side in SIDES})
    pairs: Sums = field(default_factory=Sums)  # hits: "agree", and (side, label), and ("change", label)
    marked_pairs: Sums = field(default_factory=Sums)  # hits: "change", "won", "lost", and each side
    both: int = 0
    unpaired: int = 0
    used: set[Key] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


class Groups(Generic[Name]):
    """Collects what belongs to one group. Beyond `most` open ones the oldest is complete; None keeps all open."""

    def __init__(self, close: Callable[[Name, Counts], None], most: int | None) -> None:
        """Take what is to be done with a complete group."""
        self._open: dict[Name, Counts] = {}
        self._close, self._most = close, most

    def add(self, group: Name, hits: Mapping[Hashable, int]) -> None:
        """Add hits to a group."""
        if group not in self._open and self._most and len(self._open) >= self._most:
            oldest = next(iter(self._open))
            self._close(oldest, self._open.pop(oldest))
        self._open.setdefault(group, Counter()).update(hits)

    def end(self) -> set[Name]:
        """Complete all that are open, and return them."""
        for group, hits in self._open.items():
            self._close(group, hits)
        return set(self._open)


def tally_split(events: Iterable[Event], window: Window, group: Group, truth: Mapping[Key, str]) -> Tally:
    """Count a split: each text was answered by one of the two. Memory grows with the clients if they are groups."""
    found = Tally()

    def close(key: tuple[Side, str], hits: Counts) -> None:
        answers = found.sides[key[0]]
        answers.said.add(hits["rows"], {label: hits[label] for label in hits if isinstance(label, tuple)})
        if hits["marked"]:
            answers.marked.add(hits["marked"], {"right": hits["right"]})

    groups = Groups[tuple[Side, str]](close, None if group == "client" else OPEN)
    for event in events:
        side = window.side(event)
        if side is None:
            continue
        found.sides[side].see(event)
        found.labels.add(event.label)
        hits: dict[Hashable, int] = {"rows": 1, ("label", event.label): 1}
        key = (event.request_id, event.number)
        if key in truth:
            found.used.add(key)
            hits |= {"marked": 1, "right": int(truth[key] == event.label)}
        groups.add((side, event.client if group == "client" else event.request_id), hits)
    last = groups.end()
    if group == "client":
        found.both = len(last) - len({name for _, name in last})
    return found


def tally_shadow(events: Iterable[Event], window: Window, truth: Mapping[Key, str]) -> Tally:
    """Count a shadow: both answered the same texts."""
    found = Tally()

    def close(_: str, hits: Counts) -> None:
        rows, marked = hits.pop("rows"), hits.pop("marked", 0)
        mark = {name[1]: hits.pop(name) for name in list(hits) if isinstance(name, tuple) and name[0] == "mark"}
        found.pairs.add(rows, hits)
        if marked:
            found.marked_pairs.add(marked, mark)

    groups = Groups[str](close, OPEN)
    waiting: dict[Key, tuple[Side, Event]] = {}
    for event in events:
        side, key = window.side(event), (event.request_id, event.number)
        if side is None:
            continue
        if key in waiting and waiting[key][0] != side:
            other = waiting.pop(key)[1]
            champion, challenger = (other, event) if side == "challenger" else (event, other)
            for name, answer in zip(SIDES, (champion, challenger), strict=True):
                found.sides[name].see(answer)
                found.labels.add(answer.label)
            if key in truth:
                found.used.add(key)
            groups.add(event.request_id, _pair(champion.label, challenger.label, truth.get(key)))
            continue
        if len(waiting) >= OPEN:
            _drop(found, waiting, next(iter(waiting)))
        waiting[key] = (side, event)
    for left in list(waiting):
        _drop(found, waiting, left)
    groups.end()
    return found


def _drop(found: Tally, waiting: dict[Key, tuple[Side, Event]], key: Key) -> None:
    found.unpaired += waiting.pop(key)[0] == "challenger"


def _pair(champion: str, challenger: str, true: str | None) -> Counts:
    """Return what one pair of answers adds to the sums of its request."""
    hits: Counts = Counter({"rows": 1, "agree": int(champion == challenger)})
    hits.update([("champion", champion), ("challenger", challenger)])
    if champion != challenger:
        hits.update({("change", challenger): 1, ("change", champion): -1})
    if true is not None:
        right, other = int(challenger == true), int(champion == true)
        hits.update({"marked": 1, ("mark", "challenger"): right, ("mark", "champion"): other})
        hits.update({("mark", "won"): int(right > other), ("mark", "lost"): int(other > right)})
        hits.update({("mark", "change"): right - other})
    return hits
