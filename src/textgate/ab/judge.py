"""Sums into figures, and figures into one of four answers: better, not worse, worse, or it cannot be told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from textgate.ab.found import Accuracy, Compared, LabelShare, Mix, Model, Needed, Truth, Verdict
from textgate.ab.intervals import (
    any_time_z,
    one,
    paired,
    paired_any_time,
    paired_variance,
    unpaired,
    unpaired_any_time,
    unpaired_variance,
)
from textgate.ab.labels import Key
from textgate.ab.sums import Share
from textgate.ab.tally import SIDES, Answers, Group, Tally
from textgate.ab.window import Span, Window
from textgate.evaluate.compare import POWER_Z
from textgate.evaluate.metrics import Z
from textgate.evidence import Estimate
from textgate.gate.against_champion import PRACTICAL_ROWS
from textgate.wording import change, figure, signed

MISMATCH = 0.001  # looked at again and again, 0.05 would soon cry wolf; a broken split has p far below
LEAST_EXPECTED = 5  # below, the chi-square test is no good (Cochran 1954)
SHOWN_UNKNOWN = 10


def mix(champion: int, challenger: int, both: int, expected_share: float) -> Mix:
    """Ask whether the challenger got its share, by Pearson's chi-square test of the counts.

    A mismatch means that the two groups differ in more than the model (Fabijan et al. 2019, "Diagnosing sample ratio
    mismatch in online controlled experiments").
    """
    from scipy.stats import chisquare

    total = champion + challenger
    expected = (total * (1 - expected_share), total * expected_share)
    enough = min(expected) >= LEAST_EXPECTED
    p_value = float(chisquare((champion, challenger), expected).pvalue) if enough else None
    holds = p_value is None or p_value >= MISMATCH
    return Mix(
        champion=champion,
        challenger=challenger,
        both=both,
        expected_share=expected_share,
        p_value=p_value,
        holds=holds,
    )


def verdict(accuracy: Accuracy | None, margin: float, found: Mix | None) -> tuple[Verdict, str]:
    """Return the answer and why, by the interval that may be looked at any time."""
    if accuracy is None:
        return "cannot tell", "no labels were given, so which of the two is right is not known"
    if found is not None and not found.holds:
        return "cannot tell", "the challenger did not get its share, so the two were asked different things"
    seen = accuracy.change_any_time
    if seen.low > 0:
        return "better", f"accuracy {change(seen)}: wholly above 0"
    if seen.low > -margin:
        return "not worse", f"accuracy {change(seen)}: wholly above {signed(-margin)}"
    if seen.high < 0:
        return "worse", f"accuracy {change(seen)}: wholly below 0"
    return "cannot tell", f"accuracy {change(seen)}: both {signed(-margin)} and 0 are within"


def needed(question: str, target: float, variance: float, groups: int, rows: int) -> Needed:
    """Return how many rows show a change of `target` with 80 % power, as `variance` (of the mean) goes with 1/rows.

    ((z + z') / target)^2 times the variance of one row: the usual sample size of a difference of means. For any number
    of looks, z is that of the interval at that size.
    """

    def at(z: float) -> float:
        return rows * variance * ((z + POWER_Z) / target) ** 2 if target else math.inf

    looks = at(Z)
    for _ in range(30):  # each step shrinks what is missing: z changes with the logarithm of the rows
        if looks < PRACTICAL_ROWS:
            looks = at(any_time_z(max(2.0, looks * groups / rows)))
    counts = (math.ceil(size) if size <= PRACTICAL_ROWS else None for size in (at(Z), looks))
    return Needed(question=question, there=rows, **dict(zip(("rows", "rows_any_time"), counts, strict=True)))


def split(
    found: Tally, window: Window, group: Group, share: float | None, margin: float, truth: Mapping[Key, str]
) -> Compared:
    """Return the comparison of a split, in which the challenger should have had `share` of the groups (None: any)."""
    old, new = (found.sides[side] for side in SIDES)
    right, marked = [side.marked.share("right") for side in (new, old)], (new.marked.rows, old.marked.rows)
    accuracy, more = None, tuple[Needed, ...]()
    if all(marked):
        accuracy = _accuracy(right[1], right[0], unpaired(*right), unpaired_any_time(*right), None)
        spread = sum(map(unpaired_variance, right)), right[0].groups + right[1].groups, sum(marked)
        more = _questions(accuracy.change, margin, *spread)
    counts = None if share is None else mix(old.said.groups, new.said.groups, found.both, share)
    shares = {label: [side.said.share(("label", label)) for side in (new, old)] for label in sorted(found.labels)}
    labels = [
        LabelShare(label=label, champion=one(b), challenger=one(a), change=unpaired(a, b))
        for label, (a, b) in shares.items()
    ]
    return _compared(found, window, group, margin, truth, labels, accuracy, more, mix=counts)


def shadow(found: Tally, window: Window, margin: float, truth: Mapping[Key, str]) -> Compared:
    """Return the comparison of a shadow, in which both answered the same texts."""
    pairs, marked, accuracy = found.pairs, found.marked_pairs, None
    agreement = pairs.share("agree")
    if marked.rows:
        moved = marked.share("change")
        flips = marked.share("won").hits, marked.share("lost").hits
        old, new = (marked.share(side) for side in SIDES)
        accuracy = _accuracy(old, new, paired(moved), paired_any_time(moved), flips)
        more = _questions(accuracy.change, margin, paired_variance(moved), marked.groups, marked.rows)
    else:  # only a text on which they disagree can be won or lost
        question = f"not worse by {figure(margin)}, if the two are equal: at most"
        spread = (1 - agreement.value + 2 / (pairs.rows + 2)) / max(1, pairs.rows)
        more = (needed(question, margin, spread, pairs.groups, pairs.rows).model_copy(update={"there": 0}),)
    labels = []
    for label in sorted(found.labels):
        before, after = (one(pairs.share((side, label))) for side in SIDES)
        by = paired(pairs.share(("change", label)))
        labels.append(LabelShare(label=label, champion=before, challenger=after, change=by))
    return _compared(found, window, "request", margin, truth, labels, accuracy, more, agreement=one(agreement))


def _questions(seen: Estimate, margin: float, variance: float, groups: int, rows: int) -> tuple[Needed, ...]:
    return (
        needed(f"the difference seen, {signed(seen.value)}", abs(seen.value), variance, groups, rows),
        needed(f"not worse by {figure(margin)}, if the two are equal", margin, variance, groups, rows),
    )


def _accuracy(
    champion: Share, challenger: Share, seen: Estimate, any_time: Estimate, flips: tuple[int, int] | None
) -> Accuracy:
    return Accuracy(
        champion_rows=champion.rows,
        challenger_rows=challenger.rows,
        champion=one(champion),
        challenger=one(challenger),
        change=seen,
        change_any_time=any_time,
        won=flips[0] if flips else None,
        lost=flips[1] if flips else None,
    )


def _model(span: Span, answers: Answers, groups: int) -> Model:
    rows = sum(answers.confidence)
    return Model(
        version=span.version,
        digest=span.digest,
        groups=groups,
        rows=rows,
        mean_confidence=min(1.0, answers.confidence_sum / max(1, rows)),
        confidence=tuple(answers.confidence),
    )


def _compared(
    found: Tally,
    window: Window,
    group: Group,
    margin: float,
    truth: Mapping[Key, str],
    labels: Sequence[LabelShare],
    accuracy: Accuracy | None,
    more: tuple[Needed, ...],
    *,
    agreement: Estimate | None = None,
    mix: Mix | None = None,
) -> Compared:
    word, reason = verdict(accuracy, margin, mix)
    used, unknown = len(found.used), sorted(set(truth.values()) - found.labels)[:SHOWN_UNKNOWN]
    given = Truth(given=len(truth), used=used, unmatched=len(truth) - used, unknown=tuple(unknown))
    groups = [found.sides[side].said.groups or found.pairs.groups for side in SIDES]
    return Compared(
        mode=window.mode,
        group=group,
        first=window.first,
        last=window.last,
        champion=_model(window.champion, found.sides["champion"], groups[0]),
        challenger=_model(window.challenger, found.sides["challenger"], groups[1]),
        agreement=agreement,
        unpaired=found.unpaired,
        mix=mix,
        labels=tuple(labels),
        truth=given if truth else None,
        accuracy=accuracy,
        needed=more,
        verdict=word,
        reason=reason,
    )
