"""Training rows into the statistics that later drift checks compare new rows with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from textgate.evidence import Reference

STEPS = 21  # 0, 5, 10 ... 100 %
CHARACTERS = 200


def reference(texts: Sequence[str], labels: Sequence[str]) -> Reference:
    """Return label shares, quantiles of lengths and the most frequent lower-case characters of at least one row."""
    of_label = Counter(labels)
    of_character = Counter("".join(texts).lower())
    total = of_character.total()
    frequent = sorted(of_character.items(), key=lambda item: (-item[1], item[0]))[:CHARACTERS]
    return Reference(
        label_share={label: of_label[label] / len(labels) for label in sorted(of_label)},
        characters_quantiles=_quantiles([len(text) for text in texts]),
        words_quantiles=_quantiles([len(text.split()) for text in texts]),
        character_share={character: count / total for character, count in frequent},
    )


def _quantiles(values: Sequence[int]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, np.linspace(0, 1, STEPS)))
