"""A text into the parts that can be left out of it, and back into the text that is left."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

WORD = re.compile(r"\S+")
LONG = 30  # characters; a longer word is an address, or of a script without spaces, and is taken apart
PIECE = 10  # characters of such a word that stay together
JOINERS = "\u200d\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # what makes one emoji of several

Span = tuple[int, int]  # start and end, counted in characters (code points)


def parts(text: str, few: int, most: int) -> list[Span]:
    """Return where each part of a text stands: its words, in order; between them lies nothing but white space.

    A long word is taken apart, and so is one that stands alone, into up to `few` pieces. If that gives more than `most`
    parts, neighbours are put together.
    """
    words = [match.span() for match in WORD.finditer(text)]
    pieces = [piece for word in words for piece in _pieces(text, word, few if len(words) == 1 else 1)]
    if len(pieces) <= most:
        return pieces
    edges = [round(number * len(pieces) / most) for number in range(most + 1)]
    return [(pieces[start][0], pieces[end - 1][1]) for start, end in pairwise(edges)]


def _pieces(text: str, word: Span, least: int) -> list[Span]:
    start, end = word
    length = end - start
    count = max(min(least, length), -(-length // PIECE) if length > LONG else 1)
    edges = [start + round(number * length / count) for number in range(1, count)]
    whole = [start, *dict.fromkeys(_next_edge(text, edge, end) for edge in edges), end]
    return [(first, last) for first, last in pairwise(whole) if first < last]


def _next_edge(text: str, edge: int, end: int) -> int:
    """Return the first place from `edge` on where no accent is cut off from its letter, and no emoji in two."""
    while edge < end and (_joins(text[edge]) or text[edge - 1] == "\u200d"):
        edge += 1
    return edge


def _joins(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character).startswith("M")


def without(text: str, spans: Sequence[Span], stays: int) -> str:
    """Return the text of the parts that stay (bit i of `stays`: part i), each with the space before it.

    If all stay it is the text itself, to the last space, so that it gets the answer that the text gets.
    """
    if stays == (1 << len(spans)) - 1:
        return text
    starts = [0, *(end for _, end in spans)]
    kept = [
        text[start:end]
        for number, (start, (_, end)) in enumerate(zip(starts, spans, strict=False))
        if stays >> number & 1
    ]
    return "".join(kept).strip()
