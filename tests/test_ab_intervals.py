"""Intervals agree with statsmodels where it has them, and hold the truth as often as they say, also peeked at."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import t
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from textgate.ab.intervals import (
    TUNED_FOR,
    any_time_z,
    one,
    paired,
    paired_any_time,
    paired_variance,
    unpaired,
    unpaired_any_time,
    unpaired_variance,
    worth,
)
from textgate.ab.judge import needed
from textgate.ab.sums import Share, Sums
from textgate.evaluate.compare import POWER_Z, accuracy_delta
from textgate.evaluate.metrics import Z

counts = st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda pair: sum(pair) > 1)


def single(hits, rows, squares=None):
    """Return the sums of rows that are each a group of their own."""
    return Share(rows, rows, hits, rows, hits, hits if squares is None else squares)


def grouped(hits, rows):
    """Return the sums of groups with so many hits and rows each."""
    sums = Sums()
    for hit, row in zip(hits, rows, strict=True):
        sums.add(int(row), {"x": int(hit)})
    return sums.share("x")


@settings(deadline=None, max_examples=60)
@given(counts, counts)
def test_single_rows__share_and_difference_are_those_of_statsmodels(one_pair, other_pair):
    (a, b), (c, d) = one_pair, other_pair
    first, second = single(a, a + b), single(c, c + d)
    mine = one(first)
    if 0 < a < a + b:
        assert (mine.low, mine.high) == pytest.approx(proportion_confint(a, a + b, method="wilson"), abs=1e-9)
    if min(a, b, c, d) > 0:
        theirs = confint_proportions_2indep(a, a + b, c, c + d, method="newcomb", compare="diff")
        mine = unpaired(first, second)
        assert (mine.low, mine.high) == pytest.approx(theirs, abs=1e-9)
        theirs = confint_proportions_2indep(a, a + b, c, c + d, method="agresti-caffo", compare="diff")
        half = Z * math.sqrt(unpaired_variance(first) + unpaired_variance(second))
        assert half == pytest.approx((theirs[1] - theirs[0]) / 2, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_single_rows__a_paired_change_is_that_of_the_gate(rows):
    right, other = np.array(rows).T
    won, lost = int((right & ~other).sum()), int((other & ~right).sum())
    mine, theirs = paired(single(won - lost, len(rows), won + lost)), accuracy_delta("accuracy", right, other)
    assert (mine.value, mine.low, mine.high) == pytest.approx(
        (theirs.delta.value, theirs.delta.low, theirs.delta.high), abs=1e-12
    )
    assert paired_variance(single(won - lost, len(rows), won + lost)) == pytest.approx(theirs.standard_error**2)


def test_all_or_none__single_rows_are_worth_themselves_and_groups_are_worth_the_groups():
    assert worth(single(50, 50)) == pytest.approx(50)
    alike = worth(grouped([10] * 5, [10] * 5))
    assert alike < 5
    assert one(grouped([10] * 5, [10] * 5)).low < proportion_confint(5, 5, method="wilson")[0] + 1e-9


def test_groups__rows_that_are_copies_of_each_other_are_worth_one():
    generator = np.random.default_rng(1)
    hits = generator.random(400) < 0.3
    copies, alone = grouped(hits * 20, [20] * 400), single(int(hits.sum()), 400)
    assert worth(copies) == pytest.approx(400, rel=0.01)
    assert one(copies).high - one(copies).low == pytest.approx(one(alone).high - one(alone).low, rel=0.01)


def test_groups__of_one_size_have_the_variance_of_their_means():
    hits = np.array([2, 5, 8, 4])
    variance, independent = (hits / 10).var(ddof=1) / 4, 0.475 * 0.525 / 39
    few = t.ppf(0.975, 3) / t.ppf(0.975, 39)
    assert worth(grouped(hits, [10] * 4)) == pytest.approx(40 * independent / variance / few**2)


@pytest.mark.parametrize("interval", [one, paired, paired_any_time])
def test_one_group__tells_nothing_about_others(interval):
    found = interval(grouped([30], [50]))
    assert found.high - found.low > 0.99
    assert found.value == 0.6


def test_any_time__is_the_published_interval_at_its_narrowest_and_wider_than_one_look():
    def published(rho, groups):
        grown = groups * rho**2 + 1
        return math.sqrt(groups) * math.sqrt(2 * grown / (groups * rho) ** 2 * math.log(math.sqrt(grown) / 0.05))

    best = minimize_scalar(published, bounds=(0.01, 1), args=(TUNED_FOR,), method="bounded")
    assert any_time_z(TUNED_FOR) == pytest.approx(best.fun, rel=0.005)
    assert any_time_z(50) == pytest.approx(published(best.x, 50), rel=0.03)
    one_look, any_look = (f(single(30, 100), single(40, 100)) for f in (unpaired, unpaired_any_time))
    assert any_look.low < one_look.low < one_look.high < any_look.high


def covered(intervals, truth):
    return np.mean([found.low <= truth <= found.high for found in intervals])


def test_coverage__groups_of_different_size_and_kind():
    generator, found, naive, split = np.random.default_rng(2), [], [], []
    for _ in range(600):
        arms = []
        for mean in (0.9, 0.85):
            skill = generator.beta(mean * 8, (1 - mean) * 8, 40)  # clients differ: texts of one are alike
            rows = generator.integers(1, 40, 40)
            arms.append(grouped(generator.binomial(rows, skill), rows))
        found.append(one(arms[0]))
        naive.append(one(single(arms[0].hits, arms[0].rows)))
        split.append(unpaired(*arms))
    assert covered(naive, 0.9) < 0.75  # counting texts as independent would be wrong
    assert 0.92 <= covered(found, 0.9) <= 0.985
    assert 0.92 <= covered(split, 0.05) <= 0.985


def test_coverage__a_paired_change_in_requests_of_several_texts():
    generator, found = np.random.default_rng(3), []
    for _ in range(600):
        rows = generator.integers(1, 8, 80)
        direction = generator.choice([-1, 0, 1], 80, p=[0.08, 0.8, 0.12])  # a request is won or lost as a whole
        found.append(paired(grouped(direction * rows, rows)))
    assert 0.92 <= covered(found, 0.04) <= 0.985


@pytest.mark.parametrize("flips", [0.03, 0.2])
def test_peeking__the_interval_for_any_look_holds_at_all_of_them_and_that_for_one_does_not(flips):
    generator, looks = np.random.default_rng(4), [20, 50, 100, 200, 400, 700, 1000, 1500, 2000, 3000]
    ever = np.zeros(2)
    for _ in range(400):
        moves = generator.choice([-1, 0, 1], looks[-1], p=[flips / 2, 1 - flips, flips / 2]).cumsum()
        squares, wrong = np.abs(np.diff(moves, prepend=0)).cumsum(), [False, False]
        for rows in looks:
            change = single(int(moves[rows - 1]), rows, int(squares[rows - 1]))
            for place, interval in enumerate((paired, paired_any_time)):
                found = interval(change)
                wrong[place] |= not found.low <= 0 <= found.high
        ever += wrong
    assert ever[0] / 400 > 0.1
    assert ever[1] / 400 <= 0.05


def test_needed__is_the_sample_size_of_statsmodels_for_one_look():
    p, q, rows = 0.9, 0.87, 100_000
    variance = (p * (1 - p) + q * (1 - q)) / (rows / 2)
    mine = needed("?", p - q, variance, rows, rows)
    effect = (p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    theirs = NormalIndPower().solve_power(effect, alpha=0.05, power=0.8, ratio=1)
    assert mine.rows == pytest.approx(2 * theirs, rel=1e-3)
    assert mine.there == rows


def test_needed__so_many_rows_really_tell_four_times_out_of_five():
    generator = np.random.default_rng(5)
    p = [0.06, 0.84, 0.10]
    variance = (0.16 - 0.04**2) / 1000
    found = needed("?", 0.04, variance, 1000, 1000)

    def told(interval, rows):
        draws = generator.multinomial(rows, p, size=800)
        changes = [interval(single(int(won - lost), rows, int(won + lost))) for lost, _, won in draws]
        return np.mean([change.low > 0 for change in changes])

    assert told(paired, found.rows) == pytest.approx(0.8, abs=0.05)
    assert told(paired_any_time, found.rows_any_time) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("target", [0.0, 1e-6])
def test_needed__what_cannot_be_done_is_no_number(target):
    found = needed("?", target, 0.001, 100, 100)
    assert (found.rows, found.rows_any_time) == (None, None)


def test_needed__looks_are_counted_in_groups_and_not_in_texts():
    found = needed("?", 0.01, 0.0001, 200, 1000)
    z = any_time_z(found.rows_any_time / 5)
    assert found.rows_any_time == pytest.approx(1000 * 0.0001 * ((z + POWER_Z) / 0.01) ** 2, rel=0.001)
