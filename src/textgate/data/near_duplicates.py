"""How many validation and test rows are nearly a training row: what the model could know by heart.

Nothing that is near is missed, yet few pairs are compared. Grams are ordered from rare to common. All that two texts
share begins at the first gram that they share, so their cosine is at most the length of one vector from that gram on
times that of the other (Cauchy and Schwarz; the prefix filter of Bayardo, Ma & Srikant 2007, "Scaling up all pairs
similarity search"): only pairs that share a rare gram come into question. Of those, vectors folded to 64 numbers, the
length of what falls on each, give a second upper bound; the cosines that may still be near are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgate.data.trigrams import BLOCK, sparse, trigrams

MAX_WORK = 50_000_000  # pairs that share a rare gram, per split: bounds time to some ten seconds
COMPUTED = 10  # what computing a cosine costs, counted in such pairs
CHUNK = 200_000  # of such pairs at once: bounds memory to about 100 MB
OURS = 2_000  # rows of a split made into vectors at once: no more are made than are looked at
FOLDS = 64
EXAMPLES = 10
ROUNDING = 1e-6  # of 32-bit floats: equal texts may come out a little under 1
SLACK = 1e-4  # for upper bounds that are sums of many such floats

Floats = NDArray[np.float32]
Places = NDArray[np.int32]


@dataclass(frozen=True)
class NearDuplicates:
    """How many of the `checked` first rows are near a training row, and the closest pairs (ours, theirs)."""

    rows: int
    checked: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Vectors:
    """Vectors of length 1, which of their entries a first shared gram can be, and the folded vectors."""

    full: Any
    beginnings: Any
    folded: Floats


@dataclass(frozen=True)
class _Step:
    """How many rows were looked at, what it cost, and those that are near: cosine, row, closest training row."""

    rows: int
    work: int
    near: tuple[tuple[float, int, int], ...]


class TrainingTexts:
    """Training texts, made ready to be compared with."""

    def __init__(self, texts: Sequence[str], similarity: float) -> None:
        """Take at least one text, and the cosine of 3-gram counts from which on two texts are nearly the same."""
        from scipy.sparse import vstack

        self._texts, self._similarity = texts, similarity
        self._grams, full = trigrams(texts)
        parts = [self._made(full[start : start + BLOCK]) for start in range(0, len(texts), BLOCK)]
        beginnings = vstack([part.beginnings for part in parts], format="csr")
        self._vectors = _Vectors(full, beginnings, np.concatenate([part.folded for part in parts]))
        self._index = beginnings.T.tocsr()
        self._with_gram = np.diff(self._index.indptr)

    def near(self, ours: Sequence[str], name: str) -> NearDuplicates:
        """Compare texts with all training texts.

        Where that takes more than MAX_WORK, only as many of the first rows of `ours` are looked at as fit. A progress
        bar called `name` is shown in a terminal.
        """
        from tqdm import tqdm

        found: list[tuple[float, int, int]] = []
        work = checked = 0
        with tqdm(total=len(ours), desc=name, unit="row", disable=None, leave=False) as bar:
            for step in self._steps(ours):
                found += [(cosine, checked + row, other) for cosine, row, other in step.near]
                checked, work = checked + step.rows, work + step.work
                bar.update(step.rows)
                if work >= MAX_WORK:
                    break
        found.sort(key=lambda pair: (-pair[0], pair[1]))
        examples = tuple((ours[row], self._texts[other]) for _, row, other in found[:EXAMPLES])
        return NearDuplicates(len(found), checked, examples)

    def _steps(self, ours: Sequence[str]) -> Iterator[_Step]:
        """Yield what comes of the rows, some at a time."""
        for block in range(0, len(ours), OURS):
            mine = self._made(self._grams.vectors(ours[block : block + OURS]))
            pairs = np.cumsum([0, *(mine.beginnings.astype(bool) @ self._with_gram).tolist()])
            start = 0
            while start < len(pairs) - 1:
                end = max(start + 1, int(np.searchsorted(pairs, pairs[start] + CHUNK, "right")) - 1)
                cosines, rows, others = self._cosines(mine, start, end)
                near = tuple(self._closest(cosines, rows, others))
                yield _Step(end - start, int(pairs[end] - pairs[start]) + COMPUTED * len(rows), near)
                start = end

    def _cosines(self, mine: _Vectors, start: int, end: int) -> tuple[Floats, Places, Places]:
        """Return all cosines that are not surely too low, their rows (from `start` on) and training rows."""
        least, theirs = self._similarity - SLACK, self._vectors
        shared = (mine.beginnings[start:end] @ self._index).tocoo()
        likely = shared.data >= least
        rows, others = shared.row[likely], shared.col[likely]
        likely = np.einsum("ij,ij->i", mine.folded[start:end][rows], theirs.folded[others]) >= least
        rows, others = rows[likely], others[likely]
        ours, cosines = mine.full[start:end], [np.empty(0, np.float32)]
        for at in range(0, len(rows), CHUNK):  # one row alone may be like all of a million
            here = slice(at, at + CHUNK)
            cosines.append(ours[rows[here]].multiply(theirs.full[others[here]]).sum(axis=1))
        return np.concatenate(cosines), rows, others

    def _closest(self, cosines: Floats, rows: Places, others: Places) -> Iterator[tuple[float, int, int]]:
        """Yield each row's pair of highest cosine, if it is near; of equal ones that of the first training row."""
        order = np.lexsort((others, -cosines, rows))
        _, first = np.unique(rows[order], return_index=True)
        for place in order[first]:
            if cosines[place] >= self._similarity - ROUNDING:
                yield float(cosines[place]), int(rows[place]), int(others[place])

    def _made(self, full: Any) -> _Vectors:
        return _Vectors(full, _beginnings(full, self._similarity - SLACK), _folded(full))


def _beginnings(vectors: Any, least: float) -> Any:
    """Return the entries from which on a vector is at least so long; as values, these lengths.

    An entry of the product of two such matrices is at least the product of the lengths from the first shared gram on.
    """
    squares = np.concatenate([[0.0], np.cumsum(vectors.data.astype(np.float64) ** 2)])
    ends = np.repeat(squares[vectors.indptr[1:]], np.diff(vectors.indptr))
    lengths = np.sqrt(np.maximum(0.0, ends - squares[:-1]))
    kept = lengths >= least
    starts = np.concatenate([[0], np.cumsum(kept)])[vectors.indptr]
    return sparse(lengths[kept].astype(np.float32), vectors.indices[kept], starts, vectors.shape[1])


def _folded(vectors: Any) -> Floats:
    """Return, for each row, the lengths of the parts of its vector whose columns are equal modulo FOLDS."""
    rows = np.repeat(np.arange(vectors.shape[0]), np.diff(vectors.indptr))
    places = rows * FOLDS + vectors.indices % FOLDS
    squares = np.bincount(places, vectors.data.astype(np.float64) ** 2, vectors.shape[0] * FOLDS)
    return np.sqrt(squares).astype(np.float32).reshape(-1, FOLDS)
