"""How many validation and test rows are nearly a training row: what the model could know by heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_PAIRS = 200_000_000  # of texts, per split: bounds time to some twenty seconds
CHUNK_PAIRS = 4_000_000  # at once: bounds memory to about 100 MB
EXAMPLES = 10
ROUNDING = 1e-6  # of 32-bit floats: equal texts may come out a little under 1


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
    """
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize
    from tqdm import tqdm

    checked = ours[: max(1, MAX_PAIRS // len(training))]
    counter = CountVectorizer(analyzer="char", ngram_range=(3, 3), dtype=np.float32)
    counts = normalize(counter.fit_transform(map(_padded, (*training, *checked))))
    theirs, mine = counts[: len(training)].T.tocsr(), counts[len(training) :]
    step = max(1, CHUNK_PAIRS // len(training))
    found: list[tuple[float, int, int]] = []
    for start in tqdm(range(0, len(checked), step), desc=name, unit="chunk", disable=None, leave=False):
        cosines = (mine[start : start + step] @ theirs).tocsr()
        for row in range(cosines.shape[0]):
            part = slice(cosines.indptr[row], cosines.indptr[row + 1])
            values = cosines.data[part]
            if values.size and values.max() >= similarity - ROUNDING:
                closest = int(values.argmax())
                found.append((float(values[closest]), start + row, int(cosines.indices[part][closest])))
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    examples = tuple((checked[row], training[other]) for _, row, other in found[:EXAMPLES])
    return NearDuplicates(len(found), len(checked), examples)


def _padded(text: str) -> str:
    """Return text with room around it: one of a single character has 3-grams too."""
    return f"  {text}  "
