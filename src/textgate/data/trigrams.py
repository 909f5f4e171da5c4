"""Texts into vectors of their character 3-grams: rows of length 1, the grams that few texts have as first columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 20_000  # texts taken apart at once: bounds memory
BITS = 21  # of a code point

Codes = NDArray[np.int64]
Counted = tuple[Codes, NDArray[np.int32], NDArray[np.float32], Codes]


@dataclass(frozen=True)
class Trigrams:
    """The grams of some texts, sorted by code, and the column of each: 1 is the rarest, 0 is for any other gram."""

    codes: Codes
    columns: NDArray[np.int32]

    def vectors(self, texts: Sequence[str]) -> Any:
        """Return a sparse matrix (texts, columns) of 32-bit floats; what fills column 0 is not summed up."""
        return self.matrix([_counted(texts)])

    def matrix(self, blocks: list[Counted]) -> Any:
        """Return the vectors of blocks of counted texts, and empty the list meanwhile: it may be large."""
        starts = np.concatenate([[0], *(entries for *_, entries in blocks)]).cumsum()
        columns, data = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
        end = len(data)
        while blocks:
            codes, inside, counts, _ = blocks.pop()
            here = slice(end - len(counts), end)
            columns[here], data[here] = self._columns_of(codes)[inside], counts
            end = here.start
        made = sparse(data, columns, starts, len(self.codes) + 1)
        made.sort_indices()
        return made

    def _columns_of(self, codes: Codes) -> NDArray[np.int32]:
        place = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[place] == codes, self.columns[place], 0).astype(np.int32)


def trigrams(texts: Sequence[str]) -> tuple[Trigrams, Any]:
    """Return the grams of some texts (at least one), and their vectors.

    Texts are taken in lower case, runs of white space as one space, with a space at each end: a single character has a
    gram too.
    """
    blocks = [_counted(texts[start : start + BLOCK]) for start in range(0, len(texts), BLOCK)]
    codes = np.unique(np.concatenate([found for found, *_ in blocks]))
    have = np.zeros(len(codes), np.int64)
    for found, inside, *_ in blocks:
        have[np.searchsorted(codes, found)] += np.bincount(inside, minlength=len(found))
    columns = np.empty(len(codes), np.int32)
    columns[np.argsort(have, kind="stable")] = np.arange(1, len(codes) + 1, dtype=np.int32)
    grams = Trigrams(codes, columns)
    return grams, grams.matrix(blocks)


def _counted(texts: Sequence[str]) -> Counted:
    """Return the distinct grams; each entry's gram (a place among them) and share of its row; entries a row."""
    padded = [f" {' '.join(text.lower().split())} " for text in texts]
    points = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32).astype(np.int64)
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    codes = (points[:-2] << 2 * BITS) | (points[1:-1] << BITS) | points[2:]
    begins, ends = np.ones(len(points), bool), np.cumsum(lengths)
    begins[ends - 1] = begins[ends - 2] = False  # no gram reaches into the next text
    grams, inside = np.unique(codes[begins[:-2]], return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(lengths - 2)])
    counts = sparse(np.ones(len(inside), np.float32), inside, starts, len(grams))
    counts.sum_duplicates()
    entries = np.diff(counts.indptr)
    norms = np.sqrt(np.add.reduceat(counts.data**2, counts.indptr[:-1]))
    return grams, counts.indices, counts.data / np.repeat(norms, entries), entries.astype(np.int64)


def sparse(data: NDArray[Any], columns: NDArray[Any], starts: NDArray[Any], width: int) -> Any:
    """Return a sparse matrix in rows, with 32-bit indices wherever they suffice: that is half its memory."""
    from scipy.sparse import csr_array

    kind = np.int32 if max(len(data), width) < 2**31 else np.int64
    return csr_array((data, columns.astype(kind, copy=False), starts.astype(kind)), (len(starts) - 1, width))
