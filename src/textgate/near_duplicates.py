"""How many validation and test rows are nearly a training row: what the model could know by heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

MAX_PAIRS = 300_000_000  # pairs of texts per split: bounds time to about half a minute on two cores
CHUNK_PAIRS = 40_000_000  # at once: bounds memory to a few hundred MB
EXAMPLES = 10
ROUNDING = 1e-9


@dataclass(frozen=True)
class NearDuplicates:
    """How many of the `checked` first rows are near a training row, and the closest pairs (ours, theirs)."""

    rows: int
    checked: int
    examples: tuple[tuple[str, str], ...]


def near_duplicates(ours: Sequence[str], training: Sequence[str], similarity: float, name: str) -> NearDuplicates:
    """Compare texts with all training texts by the cosine of their character 3-gram counts.

    Where that takes more than MAX_PAIRS comparisons, only as many of the first rows of `ours` are looked at as fit.
    A progress bar called `name` is shown in a terminal.

    Most pairs are never computed: two texts can only be that similar if they share one of the rare 3-grams that make
    up 1 - similarity² of a text's squared length (prefix filter, Bayardo, Ma & Srikant, WWW 2007). No pair is lost.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize
    from tqdm import tqdm

    checked = ours[: max(1, MAX_PAIRS // len(training))]
    counter = CountVectorizer(analyzer="char", ngram_range=(3, 3), dtype=np.float64)
    theirs = normalize(counter.fit_transform([f"  {text}  " for text in training])).tocsr()
    mine = normalize(counter.transform([f"  {text}  " for text in checked])).tocsr()
    frequency = np.bincount(theirs.indices, minlength=theirs.shape[1])
    rare, rest = _prefixes(mine, frequency, similarity)
    columns = theirs.T.tocsr()
    step = max(1, CHUNK_PAIRS // len(training))
    best: dict[int, tuple[float, int]] = {}
    for start in tqdm(range(0, len(checked), step), desc=name, unit="chunk", disable=None, leave=False):
        chunk = slice(start, start + step)
        pairs = (rare[chunk] @ columns).tocoo()
        likely = pairs.data + rest[chunk][pairs.row] >= similarity - ROUNDING
        rows, others = pairs.row[likely] + start, pairs.col[likely]
        cosines = np.asarray(mine[rows].multiply(theirs[others]).sum(axis=1)).ravel()
        for cosine, row, other in zip(cosines, rows.tolist(), others.tolist(), strict=True):
            if cosine >= similarity - ROUNDING and (cosine, -other) > best.get(row, (0.0, 0)):
                best[row] = (float(cosine), -other)
    closest = sorted(best, key=lambda row: (-best[row][0], row))[:EXAMPLES]
    examples = tuple((checked[row], training[-best[row][1]]) for row in closest)
    return NearDuplicates(len(best), len(checked), examples)


def _prefixes(
    rows: sparse.csr_matrix, frequency: NDArray[np.int64], similarity: float
) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
    """Return each row's rare entries alone, and the length of what was left out: what it can add to a cosine."""
    row_of = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    order = np.lexsort((rows.indices, -frequency[rows.indices], row_of))  # within each row: the most frequent first
    squared = rows.data[order] ** 2
    before = np.concatenate([[0.0], np.cumsum(squared)])
    mass = before[1:] - before[rows.indptr[:-1]][row_of]  # of the row's entries up to and with this one
    common = mass < similarity**2 - ROUNDING
    rest = np.sqrt(np.bincount(row_of[common], weights=squared[common], minlength=rows.shape[0]))
    kept = order[~common]
    shape = rows.shape
    return sparse.csr_matrix((rows.data[kept], (row_of[kept], rows.indices[kept])), shape=shape), rest
