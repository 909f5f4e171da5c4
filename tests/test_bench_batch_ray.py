"""The benchmark of batch scoring on Ray: what it divides by what, and when its goal is met."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).resolve().parent.parent / "benchmarks")
sys.path.append(BENCHMARKS)

import batch_ray  # noqa: E402 - the scripts import each other by these names
from harness import Rounds  # noqa: E402


@pytest.mark.parametrize(("two", "met"), [([5.0, 5.0, 6.0], True), ([6.0, 5.0, 6.0], False)])
def test_result__is_how_much_faster_two_machines_are(two, met):
    found = batch_ray.result(Rounds({"one machine": [10.0, 10.0, 10.0], "two machines": two}, [0.5] * 3), 100)
    assert (found.met, found.goal) == (met, "≥ 1.8")
    assert found.ratio.median == pytest.approx(2.0 if met else 10 / 6)
    assert found.figures["one machine (texts/s)"] == 10.0
