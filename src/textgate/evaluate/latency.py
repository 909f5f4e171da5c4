"""Models and texts into milliseconds for one text at a time, measured so that models can be compared.

All models see the same text one after the other, in random order, before the next text comes: what else the machine
does then slows all of them alike, and ratios hold on a busy machine where milliseconds do not.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from textgate.evaluate.bootstrap import RESAMPLES, SEED, Floats
from textgate.evidence import Estimate, Latency
from textgate.models.classifier import TextClassifier

TEXTS = 300  # three lie beyond the 99th percentile; more would cost a slow model minutes
# First calls fill caches and start threads; after some, lone texts get a session of their own (models/sessions.py).
WARM_UP = 100

Name = TypeVar("Name", bound=str)


def time_texts(models: Mapping[Name, TextClassifier], texts: Sequence[str]) -> dict[Name, Floats]:
    """Return, for each model, the milliseconds of each text in the same order: at most 300 texts, drawn at random.

    Garbage collection is off meanwhile: it would hit whichever model happens to run.
    """
    random = np.random.default_rng(SEED)
    chosen = [texts[index] for index in random.permutation(len(texts))[:TEXTS]]
    names = list(models)
    took: dict[Name, list[float]] = {name: [] for name in models}
    for model in models.values():
        for text in chosen[:WARM_UP]:
            model.predict_proba([text])
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        for text in tqdm(chosen, desc="latency", unit="text", disable=None, leave=False):
            for name in (names[index] for index in random.permutation(len(names))):
                start = perf_counter_ns()
                models[name].predict_proba([text])
                took[name].append((perf_counter_ns() - start) / 1e6)
    finally:
        if was_on:
            gc.enable()
    return {name: np.array(times) for name, times in took.items()}


def summary(ms: Floats) -> Latency:
    """Return the percentiles of the milliseconds of some texts (at least one)."""
    p50, p95, p99 = np.percentile(ms, (50, 95, 99)).tolist()
    return Latency(texts=len(ms), p50_ms=p50, p95_ms=p95, p99_ms=p99)


def latency_ratio(candidate: Floats, reference: Floats) -> Estimate:
    """Return median / median over the same texts, with a percentile interval from resampling the texts in pairs."""
    drawn = np.random.default_rng(SEED).integers(0, len(candidate), (RESAMPLES, len(candidate)), dtype=np.int32)
    ratios = np.median(candidate[drawn], axis=1) / np.median(reference[drawn], axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5)).tolist()
    value = float(np.median(candidate) / np.median(reference))
    return Estimate(value=value, low=min(low, value), high=max(high, value))
