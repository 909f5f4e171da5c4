"""Splitting: whole groups, stable under new data, and no split without a label."""

from __future__ import annotations

from collections import Counter

import pytest

from textgate.config import Split
from textgate.data.cleaning import CleanRow
from textgate.data.splitting import split_of, split_rows
from textgate.errors import CannotTell, Refused

SHARES = Split(train=0.7, valid=0.15, test=0.15)


def rows_of(groups: int, label: str = "x", split: str | None = None) -> list[CleanRow]:
    return [
        CleanRow(f"{label} {group} {copy}", label, f"group {group}", split, f"row {2 * group + copy}")
        for group in range(groups)
        for copy in range(2)
    ]


def test_split_rows__no_group_is_in_two_splits() -> None:
    splits = split_rows(rows_of(200), SHARES, ["x"], 1)
    groups = [{row.group for row in rows} for rows in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 200
    assert sum(map(len, splits.values())) == 400


def test_split_of__shares_are_kept() -> None:
    counts = Counter(split_of(f"group {number}", SHARES) for number in range(20_000))
    assert {name: round(count / 20_000, 2) for name, count in counts.items()} == {
        "train": 0.7,
        "valid": 0.15,
        "test": 0.15,
    }


def test_split_rows__new_rows_move_no_old_row() -> None:
    before = split_rows(rows_of(100), SHARES, ["x"], 1)
    after = split_rows(rows_of(150), SHARES, ["x"], 1)
    assert all(set(before[name]) <= set(after[name]) for name in before)


def test_split_rows__own_split_is_honoured() -> None:
    rows = [
        CleanRow(f"t {name} {label}", label, name, name, "row 1")
        for name in ("train", "valid", "test")
        for label in "xy"
    ]
    splits = split_rows(rows, SHARES, ["x", "y"], 1)
    assert all(row.split == name for name, members in splits.items() for row in members)


def test_split_rows__group_in_two_of_the_users_splits_is_refused() -> None:
    rows = [*rows_of(1, split="train"), *rows_of(1, "y", split="test")]
    with pytest.raises(Refused) as caught:
        split_rows(rows, SHARES, ["x"], 1)
    assert str(caught.value) == (
        "the group 'group 0' is in train (row 0) and in test (row 0): a model would be tested on what it learnt from, "
        "keep a group in one split"
    )


def test_split_rows__label_with_too_few_rows_is_named() -> None:
    with pytest.raises(CannotTell) as caught:
        split_rows([*rows_of(100), *rows_of(1, "y")[:1]], SHARES, ["x", "y"], 20)
    assert str(caught.value) == (
        "label 'y' has 1 row after cleaning, fewer than 20 (min_rows_per_label): add rows, or change configs/data.yaml"
    )


def test_split_rows__labels_with_too_few_rows_or_none_in_a_split_are_counted() -> None:
    names = [f"y{number}" for number in range(4)]
    with pytest.raises(CannotTell) as caught:
        split_rows(rows_of(100), SHARES, ["x", *names], 20)
    said = "label 'y0' has 0 rows after cleaning, fewer than 20 (min_rows_per_label), and so with 3 other labels: add"
    assert str(caught.value).startswith(said)
    lonely = [CleanRow(f"{name} {number}", name, name, "train", "row") for name in names[:2] for number in range(30)]
    with pytest.raises(CannotTell) as caught:
        split_rows([*rows_of(100), *lonely], SHARES, ["x", *names[:2]], 20)
    said = "no 'y0' row falls in valid (30 rows in 1 groups), and so with 1 other label: add rows in other groups"
    assert str(caught.value).startswith(said)


def test_split_rows__nothing_left_is_said() -> None:
    with pytest.raises(CannotTell, match=r"^label 'x' has 0 rows after cleaning"):
        split_rows([], SHARES, ["x"], 1)


def test_split_rows__label_that_misses_in_a_split_is_named() -> None:
    lonely = [CleanRow(f"y {number}", "y", "one author", None, "row") for number in range(30)]
    with pytest.raises(CannotTell) as caught:
        split_rows([*rows_of(100), *lonely], SHARES, ["x", "y"], 20)
    assert str(caught.value).startswith("no 'y' row falls in ")
    assert "(30 rows in 1 groups): add rows in other groups, change `split`, or name a split column" in str(
        caught.value
    )
