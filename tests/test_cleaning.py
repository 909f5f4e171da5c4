"""Cleaning: tidy texts within limits, each once and under one label, and every dropped row counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgate.config import Clean
from textgate.data.cleaning import REPEATED, TWO_LABELS, clean, letters, tidy
from textgate.data.tables import RawRow
from textgate.errors import CannotTell, Refused

ANY = Clean(min_characters=1, max_characters=1000, min_words=1)


def raw(*rows: tuple[str, str], split: str | None = None, group: str | None = None) -> list[RawRow]:
    return [RawRow(text, label, group, split, f"row {number}") for number, (text, label) in enumerate(rows, start=1)]


def kept(rows: list[RawRow], *, own: bool, limits: Clean = ANY) -> list[str]:
    return [row.text for row in clean(rows, limits, own=own).rows]


def test_tidy__one_spelling_of_accents_and_space() -> None:
    assert tidy("  a\u030a \t\x00\n b\xa0c ") == "å b c"


@given(st.text())
def test_tidy__twice_is_once(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


def test_letters__numbers_spacing_and_punctuation_do_not_count() -> None:
    assert letters("Tryk på 3 knapper!") == letters("tryk på: 4 knapper") == "trykpåknapper"
    assert letters("42!") == "42!"


def test_clean__limits_are_inclusive_and_counted() -> None:
    limits = Clean(min_characters=5, max_characters=9, min_words=2)
    found = clean(
        raw(("a b", "x"), ("ab cd", "x"), ("abcde", "x"), ("abcd efgh", "x"), ("abcd efghi", "x")), limits, own=True
    )
    assert [row.text for row in found.rows] == ["ab cd", "abcd efgh"]
    assert found.dropped == {"shorter than 5 characters": 1, "fewer than 2 words": 1, "longer than 9 characters": 1}


def test_clean__repeats_are_dropped_and_the_first_stays() -> None:
    found = clean(raw(("One row", "x"), ("one  ROW", "x"), ("one row 2", "x")), ANY, own=True)
    assert [(row.text, row.place) for row in found.rows] == [("One row", "row 1"), ("one row 2", "row 3")]
    assert found.dropped == {REPEATED: 1}


def test_clean__own_text_under_two_labels_is_named_with_both_rows() -> None:
    with pytest.raises(CannotTell) as caught:
        clean(raw(("one row", "x"), ("other", "x"), ("One row", "y")), ANY, own=True)
    assert str(caught.value) == "row 3 repeats row 1, but is labelled 'y', not 'x': decide on one label"


def test_clean__foreign_text_under_two_labels_is_dropped_altogether() -> None:
    found = clean(raw(("tak 1", "da"), ("Tak 2", "nb"), ("tack", "sv"), ("tak", "da")), ANY, own=False)
    assert [row.text for row in found.rows] == ["tack"]
    assert found.dropped == {TWO_LABELS: 2, REPEATED: 1}


def test_clean__text_in_two_of_the_users_splits_is_refused() -> None:
    rows = [*raw(("one row", "x"), split="train"), *raw(("one row", "x"), split="test")]
    with pytest.raises(Refused, match=r"^row 1 repeats row 1, but is in test, not train: keep it in one split only$"):
        clean(rows, ANY, own=True)


def test_clean__texts_that_differ_in_numbers_alone_share_a_group() -> None:
    first, second, other = clean(raw(("row 1", "x"), ("row 2", "x"), ("column", "x")), ANY, own=True).rows
    assert first.group == second.group != other.group
    assert clean(raw(("row 1", "x"), group="ann"), ANY, own=True).rows[0].group == "ann"


@given(st.lists(st.tuples(st.text(max_size=6), st.sampled_from("xy")), max_size=30))
def test_clean__every_row_is_kept_or_counted(rows: list[tuple[str, str]]) -> None:
    found = clean(raw(*rows), ANY, own=False)
    assert len(found.rows) + found.dropped.total() == len(rows)
    assert len({letters(row.text) for row in found.rows}) == len(found.rows)
