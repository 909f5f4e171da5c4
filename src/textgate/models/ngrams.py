"""Texts into the character n-grams of their words, as columns of a vocabulary.

The same n-grams as scikit-learn's analyzer "char_wb" on lower-cased text, without its import of seconds and its cost
of a sparse matrix for each text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

# Most words of a text were seen a moment ago. Longer ones are rare, and would let strangers fill the memory:
# 16,384 words of 32 characters are 30 MB.
REMEMBERED = 16_384
REMEMBERED_CHARACTERS = 32

Columns = Callable[[str], list[int]]


def columns_of(ngrams: Sequence[str], min_n: int, max_n: int) -> Columns:
    """Return what turns a text into the column of each of its n-grams, repeated as they are; len(ngrams): unknown."""
    index = {ngram: column for column, ngram in enumerate(ngrams)}
    unknown = len(index)

    def of_word(word: str) -> list[int]:
        padded = f" {word} "
        length = len(padded)
        found: list[int] = []
        for n in range(min_n, max_n + 1):
            if length <= n:  # a short word counts once, however many lengths are longer
                found.append(index.get(padded, unknown))
                break
            found += [index.get(padded[start : start + n], unknown) for start in range(length - n + 1)]
        return found

    remembered = lru_cache(REMEMBERED)(of_word)

    def of_text(text: str) -> list[int]:
        found: list[int] = []
        for word in text.lower().split():
            found += remembered(word) if len(word) <= REMEMBERED_CHARACTERS else of_word(word)
        return found

    return of_text
