"""The benchmark of batch scoring on Ray: what it divides by what, and when its goal is met."""

import sys
import threading
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).resolve().parent.parent / "benchmarks")
sys.path.append(BENCHMARKS)

import batch_ray  # noqa: E402 - the scripts import each other by these names
from harness import Rounds  # noqa: E402


@pytest.mark.parametrize(("two", "met"), [([5.0, 5.0, 6.0], True), ([6.0, 5.0, 6.0], False)])
def test_result__is_how_much_faster_two_machines_are(two, met):
    bare = {"one process": [2.0, 2.0, 2.0], "two processes": [2.0, 2.5, 4.0]}
    found = batch_ray.result(Rounds({"one machine": [10.0] * 3, "two machines": two, **bare}, [0.5] * 3), 100)
    assert (found.met, found.goal) == (met, "≥ 1.8")
    assert found.ratio.median == pytest.approx(2.0 if met else 10 / 6)
    assert found.figures["one machine (texts/s)"] == 10.0
    assert found.figures["one process (texts/s)"] == 12.5  # a quarter of the rows
    assert found.figures["two processes (texts/s)"] == 20.0  # half of them
    assert found.figures["two processes / one, without Ray (texts/s)"] == "1.60 (1.00 … 2.00)"
    assert "does 1.60 times what one does" in found.limits


def test_at_once__asks_all_at_the_same_time_and_takes_the_slowest(tmp_path):
    together = threading.Barrier(2, timeout=60)

    def asked(seconds):
        return lambda path: f"{seconds}" if together.wait() >= 0 and path == str(tmp_path) else ""

    assert batch_ray.at_once([asked(1.5), asked(2.5)], tmp_path)() == 2.5
