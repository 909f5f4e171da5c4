"""The model behaves: small changes change nothing, plain sentences are right, odd input is answered.

After Ribeiro et al. (2020), "Beyond accuracy: behavioral testing of NLP models with CheckList".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from textgate.config import Gates
from textgate.model_tests import NOT_CHECKED
from textgate.models.classifier import Bundle
from textgate.rows import Rows

SAMPLE = 200  # texts: the 95 % interval of a share near 0.9 is then about 0.04 to either side
ENOUGH = 20  # of fewer texts, one text would decide
END = ".!?:;…"
CHANGES: dict[str, Callable[[str], str]] = {
    "lower case": str.lower,
    "capital letters": str.upper,
    "spacing": lambda text: f"  {text.replace(' ', '  ')}\t\n",
    "trailing punctuation": lambda text: text.rstrip(END) if text.endswith(tuple(END)) else f"{text}.",
    "masked numbers": lambda text: re.sub(r"\d+", "0", text),
}
ODD = {
    "empty": "",
    "only spaces": " \t\n\u00a0",
    "one character": "å",
    "100,000 characters": "ord og " * 14_286,
    "100,000 characters without a space": "x" * 100_000,
    "emoji": "👩‍👩‍👧‍👦🇩🇰❤️🔥" * 5,
    "NUL": "en tekst\x00med et nul\x00",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627\u202c",
    "lone surrogates": "en \ud800 tekst \udfff",
    "combining marks": "a" + "\u0301" * 500,
}


@pytest.mark.parametrize("change", CHANGES)
def test_label_survives(
    change: str,
    bundle: Bundle,
    rows: Rows,
    order: list[int],
    predicted: Sequence[str],
    gates: Gates,
) -> None:
    alter = CHANGES[change]
    numbers = [number for number in order if alter(rows.texts[number]) != rows.texts[number]][:SAMPLE]
    if len(numbers) < ENOUGH:
        few = f"it changes {len(numbers)} of the test texts, {ENOUGH} are needed to judge"
        pytest.skip(f"{NOT_CHECKED}invariance, {change}: {few}")
    changed = [alter(rows.texts[number]) for number in numbers]
    said = [bundle.manifest.labels[index] for index in bundle.classifier.predict_proba(changed).argmax(axis=1)]
    same = np.array([label == predicted[number] for label, number in zip(said, numbers, strict=True)])
    message = f"{same.sum()} of {len(numbers)} labels survive {change} ({same.mean():.3f})"
    example = "" if same.all() else f"; for example {changed[int(np.argmin(same))][:60]!r}"
    assert same.mean() >= gates.min_invariance, f"{message}, the limit is {gates.min_invariance:.3f}{example}"


def test_plain_sentences_are_right(
    label: str, sentences: dict[str, tuple[str, ...]], bundle: Bundle, gates: Gates
) -> None:
    texts = sentences[label]
    found = [bundle.manifest.labels[index] for index in bundle.classifier.predict_proba(texts).argmax(axis=1)]
    share = found.count(label) / len(texts)
    wrong = next(
        (f"; {text[:60]!r} was called {said}" for text, said in zip(texts, found, strict=True) if said != label), ""
    )
    message = f"{found.count(label)} of {len(texts)} plain {label} sentences are right ({share:.3f})"
    assert share >= gates.min_functionality, f"{message}, the limit is {gates.min_functionality:.3f}{wrong}"


@pytest.mark.parametrize("name", ODD)
def test_odd_text_is_answered(name: str, bundle: Bundle) -> None:
    _check_answers(bundle, [ODD[name]])


def test_odd_texts_among_others_are_answered(bundle: Bundle, shuffled: list[str]) -> None:
    _check_answers(bundle, [*shuffled[:8], *ODD.values()])


def test_10000_rows_at_once_are_answered(bundle: Bundle) -> None:
    _check_answers(bundle, [str(number % 100) for number in range(10_000)])


def _check_answers(bundle: Bundle, texts: list[str]) -> None:
    found = bundle.classifier.predict_proba(texts)
    shape = (len(texts), len(bundle.manifest.labels))
    assert found.shape == shape, f"the answers have the shape {found.shape}, expected {shape}"
    assert np.isfinite(found).all(), f"{(~np.isfinite(found)).sum()} probabilities are not finite"
    off = np.abs(found.sum(axis=1) - 1).max()
    assert off <= 1e-5, f"the probabilities add up to 1 only within {off:.2e}, the limit is 1e-5"
