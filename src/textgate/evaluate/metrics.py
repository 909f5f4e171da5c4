"""One model's predictions on one set of rows into its figures, each with an interval.

Accuracy has Wilson's interval (1927; Brown, Cai & DasGupta 2001 say why); precision, recall, F1 and macro-F1 have
bootstrap percentile intervals (see bootstrap.py). Macro-F1 is the mean F1 over the labels that the rows have.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgate.evaluate.bootstrap import (
    RESAMPLES,
    SEED,
    UNSEEN,
    Counts,
    Floats,
    Tallies,
    interval,
    observed,
    ratio,
    resampled,
)
from textgate.evidence import Estimate, LabelScore, ReliabilityBin, Scores, SliceScore
from textgate.rows import Rows

Z = 1.959963984540054  # the 97.5 % point of the normal distribution: 95 % intervals have two ends
BINS = 15  # of equal width, as in Guo et al. (2017), so that values can be compared with published ones
LENGTHS = 4  # quarters of the rows: each keeps enough of them to say something
GROUPS = 5
MIN_GROUP_ROWS = 20  # below that, Wilson's interval is about 0.3 wide: no news


@dataclass(frozen=True)
class Marked:
    """Rows (at least one) with their true labels as numbers."""

    rows: Rows
    labels: tuple[str, ...]  # the labels that these rows have
    columns: tuple[str, ...]  # these, then any other label that the data or a model knows
    truth: Counts  # shape (rows,): index into the columns, and so into the labels


@dataclass(frozen=True)
class Predictions:
    """What a model said about some rows, as columns of shape (rows,)."""

    predicted: Counts  # index into the columns of the evaluation
    confidence: Floats  # the highest probability
    true_probability: Floats  # the probability of the true label
    squares: Floats  # the sum of the squared probabilities


def wilson(right: float, rows: float) -> Estimate:
    """Return a share of `rows` (above 0) with Wilson's 95 % score interval."""
    share, weight = right / rows, Z**2 / rows
    centre = (share + weight / 2) / (1 + weight)
    half = Z * np.sqrt(share * (1 - share) / rows + weight / (4 * rows)) / (1 + weight)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Estimate(value=share, low=float(min(low, share)), high=float(max(high, share)))


def score(marked: Marked, said: Predictions) -> Scores:
    """Return every figure of one model on some rows."""
    rows, columns = len(marked.rows), len(marked.columns)
    right = said.predicted == marked.truth
    labels, macro_f1 = _label_scores(marked, said.predicted)
    cells = np.bincount(marked.truth * columns + said.predicted, minlength=len(marked.labels) * columns)
    bins = reliability(said.confidence, right)
    return Scores(
        rows=rows,
        accuracy=wilson(int(right.sum()), rows),
        macro_f1=macro_f1,
        labels=labels,
        ece=ece(bins),
        brier=brier(said),
        reliability=bins,
        columns=marked.columns,
        confusion=_confusion(cells.reshape(-1, columns), marked),
        slices=tuple(_slices(marked.rows, right)),
    )


def _confusion(cells: Counts, marked: Marked) -> dict[str, dict[str, int]]:
    """Return the cells that have rows: of many labels, most have none."""
    return {
        label: {marked.columns[column]: int(row[column]) for column in np.flatnonzero(row)}
        for label, row in zip(marked.labels, cells, strict=True)
    }


def reliability(confidence: Floats, right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Return the bins of confidence that have rows, lowest first; a bin holds its upper end."""
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    rows = np.bincount(bins, minlength=BINS)
    means = ratio(np.bincount(bins, confidence, BINS), rows), ratio(np.bincount(bins, right, BINS), rows)
    return tuple(
        ReliabilityBin(rows=int(rows[b]), confidence=min(1.0, float(means[0][b])), accuracy=float(means[1][b]))
        for b in np.flatnonzero(rows)
    )


def ece(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error (Naeini, Cooper & Hauskrecht 2015): 0 is perfect, 1 the worst."""
    gaps = sum(part.rows * abs(part.confidence - part.accuracy) for part in bins)
    return gaps / sum(part.rows for part in bins)


def brier(said: Predictions) -> float:
    """Return the multi-class score of Brier (1950), summed over the labels: 0 is perfect, 2 the worst."""
    return float(np.mean(said.squares + 1 - 2 * said.true_probability))


def _label_scores(marked: Marked, predicted: Counts) -> tuple[tuple[LabelScore, ...], Estimate]:
    """Return the figures of each label, and macro-F1."""
    labels, random, done = len(marked.labels), np.random.default_rng(SEED), 0
    samples, macro = np.empty((3, RESAMPLES, labels), np.float32), np.empty((RESAMPLES, 1))
    for drawn in resampled(marked.truth, [predicted], labels, random):
        here = slice(done, done := done + len(drawn.rows))
        samples[:, here] = _three(drawn.with_unseen(UNSEEN, random))
        macro[here, 0] = drawn.with_unseen(1 / labels, random).macro_f1(0)
    found = observed(marked.truth, [predicted], labels)
    columns = [interval(drawn, value[0], 0, 1) for drawn, value in zip(samples, _three(found), strict=True)]
    scores = (
        LabelScore(label=label, rows=int(rows), precision=precision, recall=recall, f1=f1)
        for label, rows, precision, recall, f1 in zip(marked.labels, found.rows[0], *columns, strict=True)
    )
    return tuple(scores), interval(macro, found.macro_f1(0), 0, 1)[0]


def _three(tallies: Tallies) -> tuple[Floats, Floats, Floats]:
    """Return precision, recall and F1, each of shape (resamples, labels)."""
    hits = tallies.hits[0]
    return ratio(hits, tallies.predicted[0]), ratio(hits, tallies.rows), tallies.f1(0)


def _slices(rows: Rows, right: NDArray[np.bool_]) -> Iterator[SliceScore]:
    """Yield accuracy by text length, by label and for the largest source groups that have enough rows."""
    lengths = np.array([len(text) for text in rows.texts])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTHS + 1)).astype(np.int64))
    for number in range(max(1, len(edges) - 1)):
        low, high = edges[number] + (number > 0), edges[min(number + 1, len(edges) - 1)]
        inside = (lengths >= low) & (lengths <= high)
        yield from _slice("characters", f"{low}-{high}", int(inside.sum()), int(right[inside].sum()))
    for kind, values, least, most in (("label", rows.labels, 1, None), ("group", rows.groups, MIN_GROUP_ROWS, GROUPS)):
        counts, hits = Counter(values), Counter(itertools.compress(values, right))
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]:
            if count >= least:
                yield from _slice(kind, name, count, hits[name])


def _slice(kind: str, name: str, rows: int, right: int) -> Iterator[SliceScore]:
    if rows:
        yield SliceScore(slice=kind, name=name, rows=rows, accuracy=wilson(right, rows))
