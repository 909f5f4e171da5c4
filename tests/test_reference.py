"""Reference statistics: shares that add up, quantiles that span the rows."""

from __future__ import annotations

import pytest

from textgate.data.reference import reference


def test_reference__of_three_rows() -> None:
    found = reference(["Aa b", "c", "d d d d"], ["x", "y", "x"])
    assert found.label_share == {"x": 2 / 3, "y": 1 / 3}
    assert found.characters_quantiles[0] == 1
    assert found.characters_quantiles[10] == 4
    assert found.characters_quantiles[20] == 7
    assert found.words_quantiles[20] == 4
    assert list(found.character_share) == [" ", "d", "a", "b", "c"]
    assert list(found.character_share.values()) == pytest.approx([4 / 12, 4 / 12, 2 / 12, 1 / 12, 1 / 12])


def test_reference__keeps_the_200_most_frequent_characters() -> None:
    found = reference(["".join(map(chr, range(0x4E00, 0x4E00 + 300))) + "\u4e05"], ["x"])
    assert len(found.character_share) == 200
    assert next(iter(found.character_share)) == "\u4e05"
