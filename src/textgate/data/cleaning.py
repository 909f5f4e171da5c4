"""Raw rows into clean ones: one spelling of white space, lengths within limits, each text once and under one label."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textgate.config import Clean
from textgate.data.tables import RawRow
from textgate.errors import CannotTell, Refused
from textgate.files import sha256_bytes

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
REPEATED = "repeated"
TWO_LABELS = "same text under two labels"


@dataclass(frozen=True, slots=True)
class CleanRow:
    """A row that may be split: as RawRow, but always with a group."""

    text: str
    label: str
    group: str
    split: str | None
    place: str


@dataclass(frozen=True)
class Cleaned:
    """The rows that are kept, and how many others were dropped for which reason."""

    rows: tuple[CleanRow, ...]
    dropped: Counter[str]


def tidy(text: str) -> str:
    """Return text in Unicode's composed form (NFC), control characters and runs of white space as one space."""
    return " ".join(CONTROL.sub(" ", unicodedata.normalize("NFC", text)).split())


def same_words(text: str) -> str:
    """Return what two rows of one's own table share when they are the same text: all but case."""
    return text.casefold()


def letters(text: str) -> str:
    """Return the lower-case letters alone: catalogues repeat a text with other numbers, spacing and punctuation.

    A text with no letters stands for itself.
    """
    return "".join(filter(str.isalpha, text.lower())) or text


def clean(rows: Sequence[RawRow], limits: Clean, *, own: bool) -> Cleaned:
    """Tidy, filter and de-duplicate rows; a row without a group gets one from the letters of its text.

    `own`: rows that the user can mend. There, a text under two labels raises CannotTell with both places; from
    elsewhere all its rows are dropped. A text in two of the user's own splits raises Refused: it would leak.
    """
    dropped: Counter[str] = Counter()
    kept = []
    for row in rows:
        text = tidy(row.text)
        if reason := _unfit(text, limits):
            dropped[reason] += 1
        else:
            group = row.group or sha256_bytes(letters(text).encode())[:16]
            kept.append(CleanRow(text, row.label, group, row.split, row.place))
    once, repeats = _once(kept, same_words if own else letters, own=own)
    return Cleaned(tuple(once), dropped + repeats)


def _unfit(text: str, limits: Clean) -> str | None:
    if len(text) < limits.min_characters:
        return f"shorter than {limits.min_characters} characters"
    if len(text) > limits.max_characters:
        return f"longer than {limits.max_characters} characters"
    return f"fewer than {limits.min_words} words" if len(text.split()) < limits.min_words else None


def _once(rows: list[CleanRow], key: Callable[[str], str], *, own: bool) -> tuple[list[CleanRow], Counter[str]]:
    first: dict[str, CleanRow] = {}
    ambiguous: set[str] = set()
    dropped: Counter[str] = Counter()
    for row in rows:
        earlier = first.setdefault(key(row.text), row)
        if earlier is row:
            continue
        if earlier.split != row.split:
            splits = f"{row.split}, not {earlier.split}"
            raise Refused(f"{row.place} repeats {earlier.place}, but is in {splits}: keep it in one split only")
        if earlier.label == row.label:
            dropped[REPEATED] += 1
        elif own:
            both = f"labelled {row.label!r}, not {earlier.label!r}"
            raise CannotTell(f"{row.place} repeats {earlier.place}, but is {both}: decide on one label")
        else:
            ambiguous.add(key(row.text))
            dropped[TWO_LABELS] += 1
    dropped[TWO_LABELS] += len(ambiguous)
    return [row for text, row in first.items() if text not in ambiguous], +dropped
