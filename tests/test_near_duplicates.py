"""Near-duplicates: the cosine of 3-gram counts, as a slow and plain computation gives it."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from textgate.data import near_duplicates as module
from textgate.data.near_duplicates import TrainingTexts


def cosine(one: str, other: str) -> float:
    spaced = (f" {' '.join(text.lower().split())} " for text in (one, other))
    a, b = (Counter(text[i : i + 3] for i in range(len(text) - 2)) for text in spaced)
    return sum(a[gram] * b[gram] for gram in a) / math.sqrt(
        sum(n * n for n in a.values()) * sum(n * n for n in b.values())
    )


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("ab ", k=draw.randint(1, 14))).strip() or "a" for _ in range(count)]


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_counts_and_pairs__equal_the_plain_computation(similarity: float, seed: int) -> None:
    training = [*texts(80, seed), "Never SEEN elsewhere"]
    ours = [*texts(40, seed + 10), training[0], "zzz " + training[1], "never  seen elsewhere", "日本語", "😀"]
    closest = [max(cosine(text, other) for other in training) for text in ours]
    expected = sorted((round(-value, 5), row) for row, value in enumerate(closest) if value >= similarity - 1e-6)
    found = TrainingTexts(training, similarity).near(ours, "test")
    assert (found.rows, found.checked) == (len(expected), len(ours))
    assert len(found.examples) == min(len(expected), module.EXAMPLES)
    shown = [round(-cosine(text, other), 5) for text, other in found.examples]
    assert shown == [value for value, _ in expected][: module.EXAMPLES]


def test_counts__equal_the_plain_computation_over_several_blocks() -> None:
    training, ours = texts(module.BLOCK + 50, 5), texts(module.OURS + 50, 6)
    known = set(training)
    found = TrainingTexts(training, 1.0).near(ours, "test")
    assert found.checked == len(ours)
    assert found.rows >= sum(text in known for text in ours) > 0
    assert any(text in known for text in ours[module.OURS :])
    last = TrainingTexts(training, 1.0).near(ours[module.OURS :], "test")
    assert 0 < last.rows < found.rows


def test_examples__closest_pair_first() -> None:
    training = ["press the red button on the lamp", "something else altogether"]
    ours = ["press the red button on a lamp", "press the red button on the lamp!", "not alike"]
    found = TrainingTexts(training, 0.8).near(ours, "test")
    assert found.rows == 2
    assert found.examples == ((ours[1], training[0]), (ours[0], training[0]))


def test_nothing_alike__gives_no_examples() -> None:
    found = TrainingTexts(["xyz"], 0.0).near(["abc"], "test")
    assert (found.rows, found.examples) == (0, ())


def test_examples__are_found_in_later_blocks_too() -> None:
    training = ["press the red button on the lamp", "something else altogether"]
    ours = ["zzz qqq"] * (module.OURS + 30) + ["Press the red button on the lamp"]
    assert TrainingTexts(training, 0.9).near(ours, "test").examples == ((ours[-1], training[0]),)


def test_many_rows__what_all_share_costs_nothing() -> None:
    draw = random.Random(3)
    made = [f"welcome to {''.join(draw.choices('abcdefghijklmnopqrstuvwxyz', k=25))}" for _ in range(12_000)]
    found = TrainingTexts(made[:8_000], 0.9).near([*made[8_000:]] * 2, "test")
    assert module.MAX_WORK < 8_000 * 8_000
    assert (found.rows, found.checked) == (0, 8_000)


def test_many_rows__only_as_many_as_the_bound_allows_are_looked_at() -> None:
    found = TrainingTexts(["ab"] * 20_000, 0.9).near(["ab"] * 3000, "test")
    each = 20_000 * (1 + module.COMPUTED)  # they share one rare gram, and their cosine is computed
    assert found.checked == found.rows == -(-module.MAX_WORK // (each * 10)) * 10  # ten rows at a time
