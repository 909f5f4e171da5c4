"""Shares into 95 % intervals, of one share and of a difference, for one look and for any number of looks.

Rows in groups: the variance of a share is that of a ratio of sums over groups (linearised; Deng, Knoblich & Lu 2018,
"Applying the delta method in metric analytics"). Where an interval is built for independent rows, as many rows are put
in as would have that variance, with Student's t for few groups (Korn & Graubard 1998, "Confidence intervals for
proportions with small expected number of positive counts estimated from survey data"). With one row a group, all of
this is exactly the textbook's.
"""

from __future__ import annotations

import math

from textgate.ab.sums import Share
from textgate.evaluate.metrics import Z, wilson
from textgate.evidence import Estimate

LEVEL = 0.05  # one minus 95 %
TUNED_FOR = 1_000  # groups at which an interval for any number of looks is narrowest: a usual number of labels
LEAST = 0.01  # rows, when a single group tells nothing of how groups differ: every interval is all but the whole scale


def one(share: Share) -> Estimate:
    """Return a share with Wilson's interval (1927)."""
    rows = worth(share)
    found = wilson(share.value * rows, rows)
    return Estimate(value=share.value, low=min(found.low, share.value), high=max(found.high, share.value))


def worth(share: Share) -> float:
    """Return how many independent rows the rows are worth: at most as many as there are."""
    if share.groups < 2 or share.rows < 2:
        return LEAST
    independent = share.value * (1 - share.value) / (share.rows - 1)
    found = _variance(share, share.rows) * share.groups / (share.groups - 1)
    # All or none: how alike the rows of a group are cannot be seen, so they may be all alike.
    effect = found / independent if independent > 0 else share.rows / share.groups
    return max(LEAST, share.rows / (max(1.0, effect) * _few(share) ** 2))


def unpaired(one_share: Share, other_share: Share) -> Estimate:
    """Return the first share minus the second, of different rows.

    The hybrid score interval of Newcombe (1998), "Interval estimation for the difference between independent
    proportions", method 10.
    """
    first, second = one(one_share), one(other_share)
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value=value, low=max(-1.0, value - below), high=min(1.0, value + above))


def paired(change: Share) -> Estimate:
    """Return the mean change over the same rows: Bonett & Price (2012), as textgate.evaluate.compare has it."""
    centre, variance = _with_unseen(change)
    half = Z * _few(change) * math.sqrt(variance) if change.groups > 1 else 2.0
    return _around(change.value, centre - half, centre + half)


def paired_any_time(change: Share) -> Estimate:
    """Return the same with an interval that holds at every look at once."""
    _, variance = _with_unseen(change)
    return _any_time(change.value, variance, change.groups)


def unpaired_any_time(one_share: Share, other_share: Share) -> Estimate:
    """Return the difference of two shares with an interval that holds at every look at once."""
    variance = sum(unpaired_variance(share) for share in (one_share, other_share))
    value = one_share.value - other_share.value
    return _any_time(value, variance, one_share.groups + other_share.groups)


def unpaired_variance(share: Share) -> float:
    """Return the variance of a share with one hit and one miss added, so that none is 0 (Agresti & Caffo 2000)."""
    rows = worth(share)
    mean = (share.value * rows + 1) / (rows + 2)
    return mean * (1 - mean) / (rows + 2)


def paired_variance(change: Share) -> float:
    """Return the variance of a mean change, with one row won and one lost added."""
    return _with_unseen(change)[1] * _few(change) ** 2


def _any_time(value: float, variance: float, groups: int) -> Estimate:
    """Return the interval of an asymptotic confidence sequence.

    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence
    sequences", with rho chosen so that it is narrowest at TUNED_FOR groups.
    """
    if groups < 2:
        return Estimate(value=value, low=-1.0, high=1.0)
    half = any_time_z(groups) * math.sqrt(variance)
    return _around(value, value - half, value + half)


def any_time_z(groups: float) -> float:
    """Return how many standard errors the half of that interval has; for one look it would be 1.96."""
    rho2 = (-2 * math.log(LEVEL) + math.log(-2 * math.log(LEVEL)) + 1) / TUNED_FOR
    grown = groups * rho2 + 1
    return math.sqrt(2 * grown / (groups * rho2) * math.log(math.sqrt(grown) / LEVEL))


def _around(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=max(-1.0, min(low, value)), high=min(1.0, max(high, value)))


def _variance(share: Share, rows: int) -> float:
    """Return the variance of hits / rows over groups."""
    mean = share.hits / rows
    squares = share.hits_squared - 2 * mean * share.hits_rows + mean * mean * share.rows_squared
    return max(0.0, squares) / rows**2


def _with_unseen(change: Share) -> tuple[float, float]:
    """Return mean and variance of a change with one group of one row won, and one lost, added."""
    more = Share(
        change.groups + 2,
        change.rows + 2,
        change.hits,
        change.rows_squared + 2,
        change.hits_rows,
        change.hits_squared + 2,
    )
    return more.value, _variance(more, more.rows)


def _few(share: Share) -> float:
    """Return how much wider Student's t makes an interval than it would be if each row were a group."""
    from scipy.stats import t

    if share.groups < 2:
        return 1.0
    return float(t.ppf(0.975, share.groups - 1) / t.ppf(0.975, share.rows - 1))
