"""Near-duplicates: the cosine of 3-gram counts, as a slow and plain computation gives it."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from textgate.data import near_duplicates as module
from textgate.data.near_duplicates import near_duplicates


def cosine(one: str, other: str) -> float:
    a, b = (Counter(text[i : i + 3] for i in range(len(text) - 2)) for text in (f"  {one}  ", f"  {other}  "))
    return sum(a[gram] * b[gram] for gram in a) / math.sqrt(
        sum(n * n for n in a.values()) * sum(n * n for n in b.values())
    )


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("ab ", k=draw.randint(1, 14))).strip() or "a" for _ in range(count)]


@pytest.mark.parametrize("similarity", [0.5, 0.9, 1.0])
def test_counts__equal_the_plain_computation(similarity: float) -> None:
    training = [*texts(80, 1), "never seen elsewhere"]
    ours = [*texts(40, 2), training[0], "zzz " + training[1]]
    expected = sum(max(cosine(text, other) for other in training) >= similarity - 1e-6 for text in ours)
    found = near_duplicates(ours, training, similarity, "test")
    assert (found.rows, found.checked) == (expected, len(ours))
    assert expected > 0


def test_examples__closest_pair_first() -> None:
    training = ["press the red button on the lamp", "something else altogether"]
    ours = ["press the red button on a lamp", "press the red button on the lamp!", "not alike"]
    found = near_duplicates(ours, training, 0.8, "test")
    assert found.rows == 2
    assert found.examples == ((ours[1], training[0]), (ours[0], training[0]))


def test_nothing_alike__gives_no_examples() -> None:
    found = near_duplicates(["abc"], ["xyz"], 0.0, "test")
    assert (found.rows, found.examples) == (0, ())


def test_many_rows__only_as_many_as_the_bound_allows_are_looked_at() -> None:
    training = ["ab"] * 100_000
    found = near_duplicates(["ab"] * 3000, training, 0.9, "test")
    assert found.checked == module.MAX_PAIRS // 100_000 == 2000
    assert found.rows == 2000
