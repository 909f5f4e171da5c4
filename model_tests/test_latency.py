"""One text is answered in time, tokenisation included. Its answers are judged by other tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from textgate.config import Gates
from textgate.errors import CannotTell
from textgate.models.classifier import Bundle, Probabilities

TEXTS = 200  # ten of them lie above p95; fewer would make it the time of one unlucky text
WARM_UP = 10


def test_latency(
    benchmark: BenchmarkFixture,
    bundle: Bundle,
    shuffled: list[str],
    together: list[str],
    answers: dict[str, Probabilities],
    gates: Gates,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    texts = itertools.chain(shuffled[-WARM_UP:], itertools.cycle(together))
    ask = bundle.classifier.predict_proba

    def answer(text: str) -> None:
        answers[text] = ask([text])

    # The setup is outside the clock: each round gets another text.
    benchmark.pedantic(answer, setup=lambda: ((next(texts),), {}), rounds=TEXTS, warmup_rounds=WARM_UP)
    if benchmark.stats is None:
        raise CannotTell("benchmarks are switched off (--benchmark-disable), so nothing was timed")
    p50, p95, p99 = 1000 * np.percentile(benchmark.stats.stats.data, (50, 95, 99))
    for name, value in (("texts", TEXTS), ("p50_ms", p50), ("p95_ms", p95), ("p99_ms", p99)):
        record_testsuite_property(name, value)
    message = f"p95 of {TEXTS} single texts is {p95:.1f} ms, the limit is below {gates.max_p95_ms:.1f} ms"
    assert p95 < gates.max_p95_ms, f"{message}; p50 {p50:.1f} ms, p99 {p99:.1f} ms"
