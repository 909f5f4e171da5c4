"""The audit log into what there is to compare: which two models, and the time during which both answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from textgate.serve.audit.event import Event
from textgate.serve.clock import utc

Mode = Literal["split", "shadow"]


def moment(text: str) -> str:
    """Return a date, or a date and time (UTC unless it says otherwise), as the log writes it. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return utc((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


@dataclass
class Span:
    """A model, and when it first and last answered."""

    version: str
    digest: str
    first: str
    last: str

    def add(self, at: str) -> None:
        """Take in one more moment."""
        self.first, self.last = min(self.first, at), max(self.last, at)


@dataclass(frozen=True)
class Window:
    """Two models, and the time during which both answered: what lies outside was asked of one alone."""

    mode: Mode
    champion: Span
    challenger: Span

    @property
    def first(self) -> str:
        """Return when it begins."""
        return max(self.champion.first, self.challenger.first)

    @property
    def last(self) -> str:
        """Return when it ends."""
        return min(self.champion.last, self.challenger.last)

    def side(self, event: Event) -> Literal["champion", "challenger"] | None:
        """Say whose answer this is; None if it is not part of the comparison.

        Answers to the same text need no common time. Of a split's time, the first moment is left out: it begins when
        the challenger answers, so that one answer would be too much for its share.
        """
        if event.endpoint != "predict" or (self.mode == "split" and not self.first < event.at <= self.last):
            return None
        if event.variant == "challenger":
            fits = event.shadow == (self.mode == "shadow") and event.model_digest == self.challenger.digest
            return "challenger" if fits else None
        return "champion" if event.model_digest == self.champion.digest else None


def windows(events: Iterable[Event], since: str) -> list[Window]:
    """Find the latest challenger of a split, and of a shadow, each with the latest champion beside it."""
    champions: dict[str, Span] = {}
    challengers: dict[Mode, dict[str, Span]] = {"split": {}, "shadow": {}}
    for event in events:
        if event.endpoint == "predict" and event.at >= since:
            mode: Mode = "shadow" if event.shadow else "split"
            spans = champions if event.variant == "champion" else challengers[mode]
            start = Span(event.model_version, event.model_digest, event.at, event.at)
            spans.setdefault(event.model_digest, start).add(event.at)
    found = []
    for mode, spans in challengers.items():
        if spans:
            challenger = max(spans.values(), key=lambda span: span.last)
            beside = [span for span in champions.values() if span.first <= challenger.last]
            champion = max(beside, key=lambda span: span.last, default=None)
            if champion and champion.last >= challenger.first:
                found.append(Window(mode, champion, challenger))
    return found
