"""Inputs of any size for growth.py: rows with a small project around them, weights, and scored models. All synthetic.

Words are drawn as often as words of a language are (Zipf), 20 rows are of one group, and one row in a hundred is an
earlier one with a word more.
"""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import json
import shutil
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import yaml
from harness import ROOT, SEED

from textgate.evaluate.metrics import Marked, Predictions
from textgate.rows import Rows

LETTERS, WORDS, NEAR, BLOCK = "abcdefghijklmnoprstuvyåäöæø", 20_000, 100, 10_000
LABELS = ("da", "nb", "sv")
DATA = {
    "source": {"kind": "file", "path": "rows.jsonl", "group": "group"},
    "external": None,
    "labels": list(LABELS),
    "split": {"train": 0.7, "valid": 0.15, "test": 0.15},
    "clean": {"min_characters": 20, "max_characters": 400, "min_words": 3},
    "near_duplicate_similarity": 0.9,
    "min_rows_per_label": 20,
    "expectations": "configs/expectations.yaml",
    "sentences": None,
    "test_sha256": None,
}


def texts(rows: int) -> Iterator[str]:
    """Yield so many different texts of 6 to 13 words."""
    draw = np.random.default_rng(SEED)
    drawn = ("".join(draw.choice(list(LETTERS), length)) for length in draw.integers(3, 10, 2 * WORDS))
    words = list(islice(dict.fromkeys(drawn), WORDS))  # each once
    often = np.cumsum(1 / np.arange(1, WORDS + 1))
    kept: deque[str] = deque(maxlen=NEAR)
    for number in range(rows):
        if number % BLOCK == 0:  # drawn at once, which halves the time
            ends = np.cumsum(draw.integers(4, 12, BLOCK))
            drawn_words = [words[place] for place in np.searchsorted(often, draw.random(ends[-1]) * often[-1])]
            parts = [drawn_words[begin:end] for begin, end in pairwise((0, *ends))]
        own = f"{words[number % WORDS]} {words[-1 - number // WORDS]}"  # so that no text comes twice
        if number % NEAR == NEAR - 1:
            yield f"{kept[-50]} {own}"
            continue
        kept.append(f"{' '.join(parts[number % BLOCK])} {own}")
        yield kept[-1]


def write_project(folder: Path, rows: int) -> None:
    """Write what scripts/data.py needs: rows.jsonl and configs/."""
    (folder / "configs").mkdir(parents=True)
    (folder / "configs/data.yaml").write_text(yaml.safe_dump(DATA), encoding="utf-8")
    shutil.copy(ROOT / "configs/expectations.yaml", folder / "configs")
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts(rows)):
            row = {"text": text, "label": LABELS[number % 3], "group": f"g{number // 20}"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_weights(path: Path, size: int) -> None:
    """Write a safetensors file of about so many bytes, all zeros and sparse: they are hashed like any others."""
    header = json.dumps({"weight": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size // 4 * 4]}}).encode()
    header += b" " * (-len(header) % 8)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size // 4 * 4)


def marked(rows: int, labels: Sequence[str]) -> Marked:
    """Return rows of labels of which some are rare, each at least once."""
    draw = np.random.default_rng(SEED)
    share = 1 / np.sqrt(np.arange(1, len(labels) + 1))
    truth = np.concatenate(
        [np.arange(len(labels)), draw.choice(len(labels), rows - len(labels), p=share / share.sum())]
    )
    ids = tuple(f"{number:016x}" for number in range(rows))
    names, groups = tuple(labels[place] for place in truth), tuple(f"g{number // 20}" for number in range(rows))
    return Marked(Rows(ids, tuple(islice(texts(rows), rows)), names, groups), tuple(labels), tuple(labels), truth)


def predictions(rows: Marked, skill: float, seed: int) -> Predictions:
    """Return what a model said that is right on about `skill` of the rows."""
    draw = np.random.default_rng(seed)
    count, labels = len(rows.truth), len(rows.labels)
    predicted = np.where(draw.random(count) < skill, rows.truth, draw.integers(0, labels, count))
    confidence = draw.uniform(0.5, 1, count)
    true = np.where(predicted == rows.truth, confidence, 1 - confidence)
    return Predictions(predicted, confidence, true, confidence**2 + (1 - confidence) ** 2)
