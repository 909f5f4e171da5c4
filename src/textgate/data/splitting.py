"""Clean rows into train, valid and test: whole groups, by a hash, so that no row moves when others are added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from textgate.config import Split
from textgate.data.cleaning import CleanRow
from textgate.data.tables import SPLIT_NAMES
from textgate.errors import CannotTell, Refused
from textgate.files import sha256_bytes

Splits = dict[str, list[CleanRow]]
STEPS = 1000  # shares are kept to a tenth of a per cent of the groups


def split_rows(rows: Sequence[CleanRow], shares: Split, labels: Sequence[str], min_rows: int) -> Splits:
    """Give each row its own split if it names one, else the one of its group.

    Raises CannotTell for a label with fewer than `min_rows` rows or without a row in some split, and Refused for a
    group that the user's own split column puts in two splits.
    """
    counts = Counter(row.label for row in rows)
    if few := [label for label in labels if counts[label] < min_rows]:
        has = f"label {few[0]!r} has {counts[few[0]]} {'row' if counts[few[0]] == 1 else 'rows'} after cleaning"
        why = f"{has}, fewer than {min_rows} (min_rows_per_label){_also(few)}"
        raise CannotTell(f"{why}: add rows, or change configs/data.yaml")
    splits: Splits = {name: [] for name in SPLIT_NAMES}
    home: dict[str, CleanRow] = {}
    for row in rows:
        first = home.setdefault(row.group, row)
        if first.split != row.split:
            where = f"the group {row.group!r} is in {first.split} ({first.place}) and in {row.split} ({row.place})"
            raise Refused(f"{where}: a model would be tested on what it learnt from, keep a group in one split")
        splits[row.split or split_of(row.group, shares)].append(row)
    for name, members in splits.items():
        there = {row.label for row in members}
        if absent := [label for label in labels if label not in there]:
            groups = len({row.group for row in rows if row.label == absent[0]})
            found = f"no {absent[0]!r} row falls in {name} ({counts[absent[0]]} rows in {groups} groups){_also(absent)}"
            cure = "add rows in other groups, change `split`, or name a split column in configs/data.yaml"
            raise CannotTell(f"{found}: {cure}")
    return splits


def _also(labels: Sequence[str]) -> str:
    """Say how many more labels the first one stands for: with a thousand, nobody wants to hear of them one by one."""
    more = len(labels) - 1
    return f", and so with {more} other {'label' if more == 1 else 'labels'}" if more else ""


def split_of(group: str, shares: Split) -> str:
    """Return a group's split. It depends on the group's name alone: more data moves no row from test to train."""
    position = int(sha256_bytes(group.encode()), 16) % STEPS / STEPS
    if position < shares.test:
        return "test"
    return "valid" if position < shares.test + shares.valid else "train"
