"""The candidate's and another model's predictions on the same rows into what changed, and what could not be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from textgate.evaluate.bootstrap import RESAMPLES, SEED, UNSEEN, Counts, Floats, interval, observed, p_values, resampled
from textgate.evaluate.metrics import Marked, Predictions, Z
from textgate.evidence import Comparison, Delta, Estimate, Flip

POWER_Z = 0.8416212335729143  # the 80 % point of the normal distribution: the usual power of a planned study
MAX_FLIPS = 100  # kept a side; all of them are in build/predictions.jsonl


def compare(
    marked: Marked,
    candidate: Predictions,
    other: Predictions,
    *,
    reference: Literal["champion", "baseline"],
    reference_digest: str,
    external_accuracy: Delta | None,
    latency_ratio: Estimate,
) -> Comparison:
    """Return what changes on the test rows from the reference, whose predictions `other` are, to the candidate."""
    rows, right, other_right = len(marked.rows), candidate.predicted == marked.truth, other.predicted == marked.truth
    won, lost = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    macro_f1, labels = f1_deltas(marked.truth, candidate.predicted, other.predicted, marked.labels)
    return Comparison(
        reference=reference,
        reference_digest=reference_digest,
        rows=rows,
        accuracy=accuracy_delta("accuracy", right, other_right),
        macro_f1=macro_f1,
        labels=labels,
        external_accuracy=external_accuracy,
        latency_ratio=latency_ratio,
        detectable_accuracy=detectable_accuracy(won + lost, rows),
        detectable_macro_f1=min(1.0, (Z + POWER_Z) * macro_f1.standard_error),
        won=won,
        lost=lost,
        flips=flips(marked, candidate, other),
    )


def mcnemar(won: int, lost: int) -> float:
    """Return the exact two-sided p-value for "a flip is as likely won as lost" (McNemar 1947)."""
    from scipy.special import bdtr  # the binomial's tail; scipy.stats has it too, and takes a second to import

    return float(min(1.0, 2 * bdtr(min(won, lost), won + lost, 0.5)))


def accuracy_delta(name: str, right: NDArray[np.bool_], other_right: NDArray[np.bool_]) -> Delta:
    """Return the change of accuracy over the same rows (at least one), with McNemar's exact p-value.

    The interval is that of Bonett & Price (2012), "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data": one row is added each way, so that no flips in few rows still means "unsure".
    """
    rows, won, lost = len(right), int((right & ~other_right).sum()), int((other_right & ~right).sum())
    gain, loss = (won + 1) / (rows + 2), (lost + 1) / (rows + 2)
    error = math.sqrt((gain + loss - (gain - loss) ** 2) / (rows + 2))
    value = (won - lost) / rows
    low, high = max(-1.0, gain - loss - Z * error), min(1.0, gain - loss + Z * error)
    p_value = mcnemar(won, lost)
    return Delta(
        name=name,
        candidate=float(right.mean()),
        reference=float(other_right.mean()),
        delta=Estimate(value=value, low=min(low, value), high=max(high, value)),
        p_value=p_value,
        p_adjusted=p_value,
        standard_error=error,
    )


def f1_deltas(
    truth: Counts, candidate: Counts, other: Counts, labels: Sequence[str]
) -> tuple[Delta, tuple[Delta, ...]]:
    """Return the change of macro-F1 and of each label's F1 by the paired bootstrap; labels are adjusted by Holm."""
    random, done = np.random.default_rng(SEED), 0
    samples, macro = np.empty((RESAMPLES, len(labels)), np.float32), np.empty((RESAMPLES, 1))
    for drawn in resampled(truth, [candidate, other], len(labels), random):
        here = slice(done, done := done + len(drawn.rows))
        alone, together = drawn.with_unseen(UNSEEN, random), drawn.with_unseen(1 / len(labels), random)
        samples[here] = alone.f1(0) - alone.f1(1)
        macro[here, 0] = together.macro_f1(0) - together.macro_f1(1)
    found = observed(truth, [candidate, other], len(labels))
    deltas = _deltas([f"F1 {label}" for label in labels], found.f1(0)[0], found.f1(1)[0], samples)
    return _deltas(["macro-F1"], found.macro_f1(0), found.macro_f1(1), macro)[0], deltas


def _deltas(names: Sequence[str], candidate: Floats, other: Floats, samples: NDArray[Any]) -> tuple[Delta, ...]:
    """Return one delta a name from resampled changes of shape (resamples, names), adjusted for the number of names."""
    errors, found = samples.std(axis=0, dtype=np.float64), p_values(samples)
    adjusted = holm(found)
    return tuple(
        Delta(
            name=name,
            candidate=float(candidate[number]),
            reference=float(other[number]),
            delta=estimate,
            p_value=float(found[number]),
            p_adjusted=float(adjusted[number]),
            standard_error=float(errors[number]),
        )
        for number, (name, estimate) in enumerate(zip(names, interval(samples, candidate - other, -1, 1), strict=True))
    )


def holm(p: Floats) -> Floats:
    """Return p-values adjusted for asking several questions at once (Holm 1979, step-down Bonferroni)."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def detectable_accuracy(flipped: int, rows: int) -> float:
    """Return the smallest change of accuracy that `rows` rows show with 80 % power at the 5 % level.

    (z + z') sqrt(share of rows that flip / rows): Connor (1987), "Sample size for testing differences in proportions
    for the paired-sample design", without its second-order term. One unseen flip each way is added, as above.
    """
    return min(1.0, (Z + POWER_Z) * math.sqrt((flipped + 2) / (rows + 2) / rows))


def flips(marked: Marked, candidate: Predictions, other: Predictions) -> tuple[Flip, ...]:
    """Return rows on which exactly one model is right: at most 100 won and 100 lost, the most telling first.

    How telling a flip is: by how much the probability of the true label changed. A confident mistake against a
    confident right answer comes first, a toss-up last.
    """
    rows, right, other_right = marked.rows, candidate.predicted == marked.truth, other.predicted == marked.truth
    change = np.abs(candidate.true_probability - other.true_probability)
    ranked = np.argsort(-change, kind="stable")
    sides = [ranked[side[ranked]][:MAX_FLIPS] for side in (right & ~other_right, other_right & ~right)]
    kept = np.sort(np.concatenate(sides))
    return tuple(
        Flip(
            row=rows.ids[row],
            text=rows.texts[row],
            label=rows.labels[row],
            candidate=marked.columns[candidate.predicted[row]],
            candidate_probability=float(candidate.confidence[row]),
            reference=marked.columns[other.predicted[row]],
            reference_probability=float(other.confidence[row]),
            won=bool(right[row]),
        )
        for row in kept[np.argsort(-change[kept], kind="stable")]
    )
