"""Models are timed on the same texts at the same time, so that a busy machine does not decide who is faster."""

import gc
from dataclasses import dataclass

import numpy as np
import pytest

from textgate.evaluate.latency import TEXTS, WARM_UP, latency_ratio, summary, time_texts


@dataclass
class Model:
    """A classifier that notes what it is asked, and may take its time."""

    name: str
    log: list
    work: int = 0
    labels = ("a", "b")

    def predict_proba(self, texts):
        """Give both labels the same probability."""
        self.log.append((self.name, tuple(texts), gc.isenabled()))
        sum(range(self.work))
        return np.full((len(texts), 2), 0.5)


def timed(texts, names=("candidate", "champion", "baseline")):
    log = []
    ms = time_texts({name: Model(name, log) for name in names}, texts)
    return ms, log[len(names) * min(WARM_UP, len(texts)) :]


def test_time_texts__every_model_sees_one_text_before_the_next_one_comes():
    ms, log = timed([f"text {number}" for number in range(40)])
    assert all(len(texts) == 1 for _, texts, _ in log)
    for start in range(0, len(log), 3):
        turn = log[start : start + 3]
        assert {name for name, _, _ in turn} == {"candidate", "champion", "baseline"}
        assert len({texts for _, texts, _ in turn}) == 1
    assert {name: len(times) for name, times in ms.items()} == {"candidate": 40, "champion": 40, "baseline": 40}


def test_time_texts__the_order_of_the_models_is_random_but_the_same_every_time():
    texts = [f"text {number}" for number in range(60)]
    (_, one), (_, two) = timed(texts), timed(texts)
    assert one == two
    first = [name for name, _, _ in one[::3]]
    assert min(first.count(name) for name in ("candidate", "champion", "baseline")) > 8


def test_time_texts__takes_at_most_300_texts_from_all_over_the_rows():
    _, log = timed([f"text {number}" for number in range(5000)], ("candidate",))
    numbers = [int(texts[0].split()[1]) for _, texts, _ in log]
    assert len(set(numbers)) == TEXTS
    assert max(numbers) > 4000
    assert min(numbers) < 1000


def test_time_texts__collects_no_garbage_meanwhile_and_does_again_afterwards():
    _, log = timed(["a", "b", "c"])
    assert not any(collecting for _, _, collecting in log)
    assert gc.isenabled()


def test_time_texts__collects_garbage_again_after_an_error():
    class Broken(Model):
        """A classifier that fails once the clock runs."""

        def predict_proba(self, texts):
            """Answer the warm-up only."""
            if not gc.isenabled():
                raise RuntimeError("no answer")
            return super().predict_proba(texts)

    with pytest.raises(RuntimeError, match="no answer"):
        time_texts({"candidate": Broken("candidate", [])}, ["a"])
    assert gc.isenabled()


def test_time_texts__a_model_that_works_more_takes_longer():
    ms = time_texts({"slow": Model("slow", [], 100_000), "fast": Model("fast", [], 100)}, ["a text"] * 50)
    assert latency_ratio(ms["slow"], ms["fast"]).low > 5
    assert latency_ratio(ms["fast"], ms["slow"]).high < 0.2


def test_summary__has_the_percentiles_in_milliseconds():
    found = summary(np.arange(101, dtype=float))
    assert (found.texts, found.p50_ms, found.p95_ms, found.p99_ms) == (101, 50, 95, 99)


def test_summary__one_text_is_enough():
    assert summary(np.array([3.0])).p99_ms == 3


def test_latency_ratio__the_same_times_have_the_ratio_1():
    found = latency_ratio(np.array([1.0, 2.0, 9.0]), np.array([1.0, 2.0, 9.0]))
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_latency_ratio__load_that_hits_both_models_does_not_widen_the_interval():
    random = np.random.default_rng(0)
    load, noise = random.lognormal(0, 1, 300), random.lognormal(0, 0.01, 300)
    paired = latency_ratio(2 * load * noise, load)
    apart = latency_ratio(2 * load * noise, random.permutation(load))
    assert paired.low < 2 < paired.high
    assert paired.high - paired.low < (apart.high - apart.low) / 4
