"""Labels and predictions into what they would have been on other test rows: 10,000 resampled counts.

The bootstrap (Efron & Tibshirani 1993, "An introduction to the bootstrap") draws n rows with replacement. Every figure
here depends only on how often each cell (true label, prediction of each model) occurs, and the cell counts of such a
draw are exactly Multinomial(n, counts / n): so counts are drawn, not rows. Time and memory do not grow with n.

A resample cannot contain a mistake that the test rows happen not to contain: two models that agree on ten rows would
be "equal, give or take nothing", and for rare changes such intervals hold the truth far less often than they claim.
So `with_unseen` adds rows won and lost to each resample: half a row each way for a label on its own, as Agresti & Min
(2005), "Simple improved confidence intervals for comparing matched proportions", do, and one each way for all labels
together, as Bonett & Price (2012) do. tests/test_bootstrap.py measures what it is good for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgate.evidence import Estimate

RESAMPLES = 10_000
UNSEEN = 0.5  # rows added each way when a label is judged on its own
SEED = 13  # fixed, so that the same predictions give the same intervals; 13 is the seed of configs/train.yaml
CHUNK = 4_000_000  # counts held at once (32 MB an array): memory stays flat for any number of labels and cells

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tallies:
    """Counts a label of some resamples, each array of shape (resamples, labels)."""

    rows: Counts
    hits: tuple[Counts, ...]  # one array a model: rows of the label that it got right
    predicted: tuple[Counts, ...]  # one array a model: rows that it gave the label

    def with_unseen(self, mean: float, random: np.random.Generator) -> Tallies:
        """Add to each label Poisson(mean) rows won and as many lost.

        With two models, won means that the first is right and the second wrong; lost is the other way round. With one
        model, won is a right row, and lost is a miss together with a false alarm, so that precision feels it too.
        """
        won, lost = random.poisson(mean, self.rows.shape), random.poisson(mean, self.rows.shape)
        extra = (won, lost)[: len(self.hits)]
        alarms = 0 if len(self.hits) == 2 else lost
        hits = tuple(hit + right for hit, right in zip(self.hits, extra, strict=True))
        predicted = tuple(count + right + alarms for count, right in zip(self.predicted, extra, strict=True))
        return Tallies(self.rows + won + lost, hits, predicted)

    def f1(self, model: int) -> Floats:
        """Return F1 of shape (resamples, labels); a label without rows and predictions has 0."""
        return ratio(2 * self.hits[model], self.rows + self.predicted[model])

    def macro_f1(self, model: int) -> Floats:
        """Return the mean F1 over the labels that have rows in the resample, of shape (resamples,)."""
        present = self.rows > 0
        return np.asarray((self.f1(model) * present).sum(axis=1) / present.sum(axis=1))


def observed(truth: Counts, predictions: Sequence[Counts], labels: int) -> Tallies:
    """Return the tallies of the rows themselves, of shape (1, labels); see `resampled` for the arguments."""
    cells, counts = _cells(truth, predictions)
    return _tally(counts[None, :], _membership(cells, labels))


def resampled(
    truth: Counts, predictions: Sequence[Counts], labels: int, random: np.random.Generator, resamples: int = RESAMPLES
) -> Iterator[Tallies]:
    """Yield the tallies of `resamples` draws with replacement, in chunks of at most 32 MB an array.

    Truth (rows,) holds label indices below `labels`; predictions hold one array (rows,) a model, whose indices may
    also lie above: those are predictions of a label that no row has. Raises ValueError without rows.
    """
    cells, counts = _cells(truth, predictions)
    membership = _membership(cells, labels)
    step = max(1, CHUNK // max(len(counts), labels))
    for start in range(0, resamples, step):
        drawn = random.multinomial(len(truth), counts / len(truth), size=min(step, resamples - start))
        yield _tally(drawn, membership)


def interval(samples: NDArray[Any], value: Floats | float, least: float, most: float) -> list[Estimate]:
    """Return each figure with its 95 % percentile interval.

    Samples have the shape (resamples, figures), value the shape (figures,); the interval always holds the value and
    ends at `least` and `most`, the ends of the figure's scale.
    """
    low, high = np.percentile(samples, (2.5, 97.5), axis=0)
    value = np.broadcast_to(value, low.shape)
    low, high = np.clip(np.minimum(low, value), least, most), np.clip(np.maximum(high, value), least, most)
    return [
        Estimate(value=v, low=a, high=b) for v, a, b in zip(value.tolist(), low.tolist(), high.tolist(), strict=True)
    ]


def p_values(samples: NDArray[Any]) -> Floats:
    """Return two-sided p-values for "no change" from changes of shape (resamples, figures).

    Twice the smaller tail, one added to both counts so that no p-value is 0 (Davison & Hinkley 1997, "Bootstrap
    methods and their application", 4.2). The smallest possible value is 2 / (resamples + 1).
    """
    tails = np.minimum((samples <= 0).sum(axis=0), (samples >= 0).sum(axis=0))
    return np.asarray(np.minimum(1.0, 2 * (tails + 1) / (len(samples) + 1)))


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Return part / whole, 0 where the whole is 0 (what scikit-learn calls zero_division=0)."""
    return np.asarray(np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0))


def _cells(truth: Counts, predictions: Sequence[Counts]) -> tuple[tuple[Counts, ...], Counts]:
    """Return the non-empty cells, one array (cells,) a variable, and their counts."""
    if not len(truth):
        raise ValueError("there are no rows to resample")
    columns = (truth, *predictions)
    shape = [int(column.max()) + 1 for column in columns]
    codes, counts = np.unique(np.ravel_multi_index(columns, shape), return_counts=True)
    order = np.argsort(counts, kind="stable")  # the largest cell last: numpy's draw gives it what rounding left over
    return tuple(np.unravel_index(codes[order], shape)), counts[order]


def _membership(cells: tuple[Counts, ...], labels: int) -> list[Any]:
    """Return sparse 0/1 matrices (cells, labels): rows, then hits and predictions of each model."""
    truth, *predictions = cells
    found = [_indicator(truth, np.ones(len(truth), bool), labels)]
    found += [_indicator(truth, predicted == truth, labels) for predicted in predictions]
    return found + [_indicator(predicted, predicted < labels, labels) for predicted in predictions]


def _indicator(columns: Counts, kept: NDArray[np.bool_], labels: int) -> Any:
    from scipy.sparse import csr_array

    return csr_array((np.ones(kept.sum(), np.int64), (np.flatnonzero(kept), columns[kept])), (len(columns), labels))


def _tally(drawn: Counts, membership: list[Any]) -> Tallies:
    rows, *others = (np.asarray(drawn @ matrix) for matrix in membership)
    models = len(others) // 2
    return Tallies(rows, tuple(others[:models]), tuple(others[models:]))
