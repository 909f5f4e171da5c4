"""What the benchmark of training makes of its rounds: a peer that learned far less, or trained longer, is no peer."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tests.project import ROOT

sys.path.append(str(ROOT / "benchmarks"))

import train
from harness import Rounds

from textgate.errors import CannotTell

TRUTH = np.arange(300) % 3
SECONDS = {
    train.OURS: [10.0, 12.0],
    train.TUNED: [20.0, 18.0],
}
ONCE = 200.0


def said(wrong, epochs=3, seconds=1.0):
    """Return what a training prints that is wrong on every so-manieth row."""
    predicted = np.where(np.arange(len(TRUTH)) % wrong == 0, (TRUTH + 1) % 3, TRUTH)
    return {"predicted": predicted.tolist(), "epochs": epochs, "processor_seconds": seconds}


def results(ours, tuned, seconds=SECONDS):
    rows = {"train": {"labels": [0] * 96}, "valid": {"labels": TRUTH.tolist()}, "settings": {"epochs": 3}}
    bench = train.Bench(Path("base"), ("a", "b", "c"), rows, {train.OURS: ours, train.TUNED: tuned})
    return train.results(bench, Rounds(seconds, [0.5, 0.5]), ONCE)


def test_results__are_ratios_within_the_rounds_beside_what_was_learned():
    tutorial, tuned = results([said(20), said(20)], [said(21, seconds=2.0), said(19, seconds=3.0)])
    assert (tutorial.met, tuned.met) == (True, True)
    assert (str(tutorial.ratio), str(tuned.ratio)) == ("18.33 (16.67 … 20.00)", "1.75 (1.50 … 2.00)")
    assert tuned.figures["ours (s)"] == 11.0
    assert tuned.figures[f"{train.TUTORIAL}, once (s)"] == 200.0
    assert (tuned.figures["rows"], tuned.figures["epochs"]) == (96, 3)
    assert tuned.figures[f"processor seconds of {train.TUNED} / {train.OURS}"] == "2.50 (2.00 … 3.00)"
    assert tuned.figures["ours: validation macro-F1"] == "0.9500; 0.9500"
    assert "what it would have learned is not known" in tutorial.limits


@pytest.mark.parametrize(("ours", "tuned"), [(20, 2), (2, 20)])
def test_results__one_that_learned_less_in_any_round_is_no_comparison(ours, tuned):
    found = results([said(20), said(ours)], [said(20), said(tuned)])[1]
    assert (found.met, found.limits) == (False, "they did not learn the same")
    assert found.goal == "≥ 1.5; ours has learned no less (interval of the change of macro-F1), the peer within 0.05"


def test_results__a_peer_that_learned_a_little_less_in_its_time_is_a_comparison():
    found = results([said(50)] * 2, [said(15)] * 2)[1]
    assert (found.met, found.limits) == (True, "")
    changes = str(found.figures["macro-F1, ours - tuned (95 % interval)"]).split("; ")
    assert ["(+" in change for change in changes] == [True, True]  # more than chance


def test_results__a_ratio_below_its_goal_is_missed_though_both_learned_the_same():
    slow = SECONDS | {train.TUNED: [14.0, 16.0]}
    assert [found.met for found in results([said(20)] * 2, [said(20)] * 2, slow)] == [True, False]


def test_results__more_epochs_than_the_other_is_no_comparison():
    with pytest.raises(CannotTell, match="ours and Trainer, tuned, same parts frozen trained for 2 and 3 epochs"):
        results([said(20), said(20, epochs=2)], [said(20), said(20, epochs=3.0)])
