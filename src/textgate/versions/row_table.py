"""A folder of rows into columns of numbers (21 bytes a row), and two such tables into pairs of the same row.

Two rows are the same if their texts are equal but for case, as when one's own rows are cleaned. Of the others, those
with the same label and the same letters are one row in two spellings, as when catalogues are cleaned.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from textgate.data.cleaning import letters, same_words
from textgate.errors import CannotTell
from textgate.files import read_jsonl
from textgate.rows import SPLITS, Row

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class RowTable:
    """Rows as columns of equal length, in the order of the splits and of their files."""

    folder: Path
    words: NDArray[np.uint64]  # 64-bit hashes: of 10^6 rows, two are confused in one case of 10^7
    spelling: NDArray[np.uint64]
    splits: NDArray[np.int8]  # numbers into SPLITS
    labels: NDArray[np.int32]  # numbers into the labels that the table was read with

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.words)


@dataclass(frozen=True)
class Pairs:
    """Row numbers in two tables of what is the same row in both; `respelt` marks those whose words differ."""

    a: Numbers
    b: Numbers
    respelt: NDArray[np.bool_]


def row_table(folder: Path, labels: Sequence[str]) -> RowTable:
    """Read the rows of a folder such as build/data. Raises CannotTell for a row that cannot be read, or its label."""
    index = {label: number for number, label in enumerate(labels)}
    words, spelling, splits, numbers = array("Q"), array("Q"), array("b"), array("i")
    for split, row in _rows(folder):
        if row.label not in index:
            raise CannotTell(f'{folder} has a label that its data.json does not name: run "make data" again')
        words.append(_hash(same_words(row.text)))
        spelling.append(_hash(f"{index[row.label]} {letters(row.text)}"))
        splits.append(split)
        numbers.append(index[row.label])
    columns = (np.array(words, np.uint64), np.array(spelling, np.uint64))
    return RowTable(folder, *columns, np.array(splits, np.int8), np.array(numbers, np.int32))


def match(a: RowTable, b: RowTable) -> Pairs:
    """Pair the rows of two tables that were read with the same labels."""
    same_a, same_b = _equal(a.words, b.words)
    rest_a, rest_b = others(len(a), same_a), others(len(b), same_b)
    more_a, more_b = _equal(a.spelling[rest_a], b.spelling[rest_b])
    respelt = np.repeat([False, True], [len(same_a), len(more_a)])
    return Pairs(np.concatenate([same_a, rest_a[more_a]]), np.concatenate([same_b, rest_b[more_b]]), respelt)


def others(count: int, numbers: Numbers) -> Numbers:
    """Return the row numbers below `count` that are not among `numbers`, in their order."""
    kept = np.ones(count, np.bool_)
    kept[numbers] = False
    return np.flatnonzero(kept)


def pick(folder: Path, numbers: Collection[int]) -> dict[int, tuple[str, Row]]:
    """Return the rows with these numbers, each with its split."""
    found: dict[int, tuple[str, Row]] = {}
    if numbers:
        for number, (split, row) in enumerate(_rows(folder)):
            if number in numbers:
                found[number] = (SPLITS[split], row)
            if len(found) == len(numbers):
                break
    return found


def _rows(folder: Path) -> Iterator[tuple[int, Row]]:
    """Yield each row, one at a time, after the number of its split."""
    for number, split in enumerate(SPLITS):
        path = folder / f"{split}.jsonl"
        if split == "external" and not path.exists():
            continue
        for line, raw in enumerate(read_jsonl(path, 'run "make data" first'), start=1):
            try:
                yield number, Row.model_validate(raw)
            except ValidationError as error:
                raise CannotTell(f'{path}, line {line}: {error.errors()[0]["msg"]}: run "make data" again') from error


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _equal(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> tuple[Numbers, Numbers]:
    """Return row numbers of equal keys; of a key that comes twice, the first goes with the first, and so on."""
    keys, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    left, right = (_counted(part, len(keys)) for part in (codes[: len(a)], codes[len(a) :]))
    _, in_a, in_b = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    return in_a, in_b


def _counted(codes: Numbers, keys: int) -> Numbers:
    """Make codes unique: the n-th row of a code, n from 0, gets code + n * keys."""
    order = np.argsort(codes, kind="stable")
    inside = codes[order]
    unique = np.empty_like(codes)
    unique[order] = inside + (np.arange(len(codes)) - np.searchsorted(inside, inside)) * keys
    return unique
