"""A text taken apart, and put together without some of its parts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgate.serve.text_parts import parts, without

TEXTS = st.text(st.sampled_from("ab é\u0301 \t\n\u3000日\u200d👩🏽\ud800x.") | st.characters(), max_size=120)


@given(TEXTS, st.integers(1, 9), st.integers(9, 40))
def test_parts__cover_all_but_white_space_in_order(text, few, most):
    found = parts(text, few, most)
    assert len(found) <= most
    assert all(start < end for start, end in found)
    assert all(one[1] <= other[0] for one, other in pairwise(found))
    covered = {place for start, end in found for place in range(start, end)}
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)
    assert not any(text[start].isspace() or text[end - 1].isspace() for start, end in found)


@given(TEXTS, st.integers(0, 2**40))
def test_without__keeps_the_parts_that_stay_and_their_order(text, stays):
    found = parts(text, 9, 32)
    kept = [text[start:end] for number, (start, end) in enumerate(found) if stays >> number & 1]
    left = without(text, found, stays & (1 << len(found)) - 1)
    assert "".join(left.split()) == "".join("".join(kept).split())


@given(TEXTS)
def test_without__nothing_gone_is_the_text_itself_and_all_gone_is_empty(text):
    found = parts(text, 9, 32)
    assert without(text, found, (1 << len(found)) - 1) == text
    assert without(text, found, 0) == ("" if found else text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("an old  house", ["an", "old", "house"]),
        (" \t\n", []),
        ("", []),
        ("hej", ["h", "e", "j"]),
        ("lysegrønt!", ["ly", "se", "gr", "øn", "t!"]),
        (
            "see https://example.org/a/long/address/indeed",
            ["see", "https://", "example.", "org/a/lon", "g/addres", "s/indeed"],
        ),
    ],
)
def test_parts__are_words_but_long_and_lone_ones_are_taken_apart(text, expected):
    found = [text[start:end] for start, end in parts(text, 5, 32)]
    assert found == expected


def test_parts__no_accent_leaves_its_letter_and_no_emoji_is_cut():
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
    for text in ("e\u0301" * 7, family * 6, "\U0001f44d\U0001f3fd" * 7):
        cut = [text[start:end] for start, end in parts(text, 4, 32)]
        assert len(cut) == 4
        assert not any(piece[0] in "\u0301\u200d\U0001f3fd" or piece[-1] == "\u200d" for piece in cut)


def test_parts__too_many_words_are_put_together_evenly_with_their_neighbours():
    text = " ".join(f"w{number}" for number in range(100))
    found = parts(text, 9, 32)
    sizes = [len(text[start:end].split()) for start, end in found]
    assert len(found) == 32
    assert set(sizes) == {3, 4}


def test_without__a_part_takes_the_space_before_it_along():
    text = "one  two\nthree"
    found = parts(text, 9, 32)
    assert [without(text, found, stays) for stays in (0b011, 0b101, 0b110, 0b100)] == [
        "one  two", "one\nthree", "two\nthree", "three",
    ]  # fmt: skip
