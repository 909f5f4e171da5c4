"""The verdict: refused, else unknown, else passed; and evidence that got worse never turns into a pass."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gate_example import (
    BUNDLE,
    GATES,
    LIMITS,
    OTHER,
    PRODUCTION,
    ROWS,
    STOP,
    about,
    against,
    check,
    comparison,
    comparisons,
    data,
    first_release,
    group,
    manifest,
    metrics,
    model,
    scan,
    scores,
    suite,
    unhurried,
    verdict,
)

from textgate.evidence import (
    Champion,
)
from textgate.gate.against_champion import rows_needed
from textgate.gate.evidence_set import Sealed
from textgate.verdicts import ScannedFile, TestFailure

# No production model yet.


def test_judge__first_release_has_no_champion_and_passes():
    gate = verdict(first_release())
    assert gate.outcome == "passed"
    assert gate.sentence == (
        "textgate passed this model: it meets every limit, and there is no production model yet to compare it with"
    )
    assert check(gate, "against production").found == "none yet"
    assert (gate.bundle_digest, gate.data_fingerprint, gate.gates_sha256, gate.commit) == (
        BUNDLE,
        ROWS,
        LIMITS,
        "c0ffee",
    )


def test_judge__the_same_evidence_gives_the_same_verdict():
    assert verdict(against()) == verdict(against())


@pytest.mark.parametrize(
    ("changed", "name", "reason"),
    [
        ({"accuracy": 0.8}, "accuracy", "accuracy is 0.800, the limit is 0.850"),
        ({"accuracy": 0.8499}, "accuracy", "accuracy is 0.8499, the limit is 0.8500"),
        ({"macro_f1": 0.5}, "macro-F1", "macro-F1 is 0.500, the limit is 0.850"),
        ({"f1": (0.4, 0.9)}, "F1 da", "F1 da is 0.400, the limit is 0.750"),
    ],
)
def test_judge__a_figure_below_its_limit_is_refused(changed, name, reason):
    gate = verdict(first_release(metrics=metrics(model(test=scores(**changed)))))
    assert gate.outcome == check(gate, name).outcome == "refused"
    assert gate.sentence == f"textgate refused this model: {reason}"


def test_judge__a_figure_equal_to_its_limit_passes():
    on_the_line = scores(accuracy=GATES.min_accuracy, macro_f1=GATES.min_macro_f1, f1=(GATES.min_label_f1,) * 2)
    assert verdict(first_release(metrics=metrics(model(test=on_the_line)))).outcome == "passed"


def test_judge__latency_has_to_be_below_its_limit():
    gate = verdict(first_release(metrics=metrics(model(p95=500.0))))
    assert gate.sentence == "textgate refused this model: latency p95 is 500.0 ms, the limit is < 500.0 ms"
    assert verdict(first_release(metrics=metrics(model(p95=499.9)))).outcome == "passed"


def test_judge__a_bundle_that_is_too_large_is_refused():
    gate = verdict(first_release(bundle=Sealed(BUNDLE, 150.1, manifest())))
    assert gate.sentence == "textgate refused this model: bundle size is 150.1 MB, the limit is ≤ 150.0 MB"


def test_judge__a_label_without_test_rows_is_unknown():
    one = scores().model_copy(update={"labels": scores().labels[:1]})
    gate = verdict(first_release(metrics=metrics(model(test=one))))
    assert (gate.outcome, check(gate, "F1 nb").outcome) == ("unknown", "unknown")
    assert "no test row has this label" in gate.sentence


def test_judge__without_external_rows_there_is_a_note_and_no_check():
    gate = verdict(first_release())
    assert "external accuracy" not in [check.name for check in gate.checks]
    assert gate.notes == ("there are no external rows, so nothing is known about texts from elsewhere",)


def test_judge__external_rows_have_a_limit_of_their_own():
    there = metrics(model(external=scores(rows=40, accuracy=0.7)))
    gate = verdict(first_release(data=data(external=40), metrics=there))
    assert gate.sentence == "textgate refused this model: external accuracy is 0.700, the limit is 0.800"


@pytest.mark.parametrize("external", [None, scores(rows=39)])
def test_judge__external_rows_that_were_not_all_scored_are_unknown(external):
    gate = verdict(first_release(data=data(external=40), metrics=metrics(model(external=external))))
    assert (gate.outcome, check(gate, "external accuracy").outcome) == ("unknown", "unknown")


# Model tests and scan.


def test_judge__a_failed_model_test_is_refused_with_its_reason():
    failures = (TestFailure(test="behaviour: test_x", reason="3 of 200 labels survive"),)
    gate = verdict(first_release(model_tests=suite(groups=group("behaviour", failed=1), failures=failures)))
    assert gate.sentence == "textgate refused this model: 1 of 4 behaviour tests failed"
    reason = "1 of 4 behaviour tests failed; behaviour: test_x: 3 of 200 labels survive"
    assert check(gate, "model tests: behaviour").reason == reason


@pytest.mark.parametrize("counts", [{"skipped": 1}, {"errors": 1}, {"passed": 0}])
def test_judge__model_tests_that_did_not_run_are_unknown(counts):
    gate = verdict(first_release(model_tests=suite(groups=group("schema", **counts))))
    assert (gate.outcome, check(gate, "model tests: schema").outcome) == ("unknown", "unknown")


def test_judge__a_group_of_model_tests_that_is_missing_is_unknown():
    groups = {name: counts for name, counts in suite().groups.items() if name != "latency"}
    gate = verdict(first_release(model_tests=suite(groups=groups)))
    assert gate.outcome == "unknown"
    assert 'no latency tests ran: restore model_tests/ and run "make model_tests"' in gate.sentence


def test_judge__a_group_that_somebody_added_is_judged_too():
    gate = verdict(first_release(model_tests=suite(groups=group("fairness", failed=2))))
    assert check(gate, "model tests: fairness").outcome == gate.outcome == "refused"


def test_judge__what_the_model_tests_could_not_check_is_noted():
    gate = verdict(first_release(model_tests=suite(not_checked=("minimum functionality: no sentences",))))
    assert gate.outcome == "passed"
    assert "not tested: minimum functionality: no sentences" in gate.notes


def test_judge__a_finding_of_the_scan_is_refused():
    bad = ScannedFile(path="model.pkl", bytes=1, sha256=OTHER, voucher=None, findings=("posix.system",))
    gate = verdict(first_release(scan=scan(outcome="refused", files=(*scan().files, bad))))
    assert gate.sentence == "textgate refused this model: the scan found something in 1 of 2 files"
    assert check(gate, "scan").reason.endswith("model.pkl: posix.system")


def test_judge__a_finding_is_refused_whatever_the_scan_concluded():
    bad = ScannedFile(path="odd.bin", bytes=1, sha256=OTHER, voucher="json", findings=("auto_map",))
    assert verdict(first_release(scan=scan(files=(bad,)))).outcome == "refused"


UNVOUCHED = ScannedFile(path="odd.bin", bytes=1, sha256=OTHER, voucher=None, findings=())


def test_judge__a_scan_that_refused_is_refused_even_without_a_finding():
    gate = verdict(first_release(scan=scan(outcome="refused")))
    assert gate.sentence == "textgate refused this model: the scan refused this bundle"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"canary_caught": False}, "it missed its canary"),
        ({"errors": ("it ran out of memory",)}, "it ran out of memory"),
        ({"files": ()}, "it read nothing"),
        ({"files": (UNVOUCHED,)}, "nobody vouched for odd.bin"),
        ({"outcome": "unknown"}, "its own outcome is unknown"),
    ],
)
def test_judge__a_scan_that_cannot_be_relied_on_is_unknown_whatever_it_concluded(changed, reason):
    gate = verdict(first_release(scan=scan(**changed)))
    assert gate.outcome == "unknown"
    assert check(gate, "scan").reason == f"the scan cannot be relied on; {reason}"


# Against production: three answers, asked in this order.


def test_judge__not_worse_when_the_whole_interval_lies_above_the_margin():
    gate = verdict(against(accuracy=(-0.003, -0.009, 0.003)))
    assert gate.outcome == "passed"
    assert gate.sentence == "textgate passed this model: within the margins as good as production v1.3.0"


def test_judge__a_small_loss_that_is_certain_is_still_not_worse():
    assert check(verdict(against(accuracy=(-0.005, -0.008, -0.002))), "accuracy against production").outcome == "passed"


def test_judge__worse_when_the_whole_interval_lies_below_0():
    gate = verdict(against(labels=((-0.061, -0.09, -0.03), ())))
    assert gate.sentence == "textgate refused this model: F1 da got worse than production v1.3.0"
    reason = "F1 da got worse than production v1.3.0; −0.061 (−0.090, −0.030), p 0.030"
    assert check(gate, "F1 da against production").reason == reason


def test_judge__what_cannot_be_told_does_not_stop_a_release_unless_the_limits_say_so():
    unclear = against(macro_f1=(-0.01, -0.0335, 0.0135))
    released, stopped = verdict(unclear), verdict(unclear, STOP)
    assert (released.outcome, stopped.outcome) == ("passed", "unknown")
    assert check(released, "macro-F1 against production").advisory
    assert not check(stopped, "macro-F1 against production").advisory
    assert released.sentence == (
        "textgate passed this model: it meets every limit, but against production v1.3.0 "
        "it cannot be told whether macro-F1 got worse"
    )
    assert stopped.sentence == (
        "textgate could not judge this model: it cannot be told whether macro-F1 got worse than production v1.3.0"
    )
    assert "about 553 test rows would tell, there are 100" in check(stopped, "macro-F1 against production").reason


def test_judge__better_is_said_only_where_the_interval_excludes_0():
    gate = verdict(against(macro_f1=(0.03, 0.01, 0.05), labels=((-0.01, -0.1, 0.08), ())))
    assert gate.sentence == (
        "textgate passed this model: better than production v1.3.0 in macro-F1, "
        "but it cannot be told whether F1 da got worse"
    )


def test_judge__a_label_that_was_not_compared_is_unknown():
    one = comparison().model_copy(update={"labels": comparison().labels[:1]})
    gate = verdict(replace(against(), comparison=comparisons(one)))
    assert (gate.outcome, check(gate, "F1 nb against production").outcome) == ("unknown", "unknown")


def test_judge__a_floor_decides_even_where_production_is_no_better():
    both = metrics(model(test=scores(accuracy=0.5)), model("champion", PRODUCTION))
    assert verdict(replace(against(), metrics=both)).outcome == "refused"


def test_judge__the_name_of_production_stays_on_one_short_line():
    champion = Champion(state="given", name="v1\n\n# " + "x" * 500, digest=PRODUCTION)
    sentence = verdict(replace(against(), champion=champion)).sentence
    assert "\n" not in sentence
    assert len(sentence) < 200


def test_rows_needed__a_quarter_of_the_width_takes_sixteen_times_the_rows():
    assert rows_needed(about(0.0, -0.08, 0.08), 0.02, 1000) == 16_001


def test_rows_needed__the_nearer_answer_counts():
    assert rows_needed(about(-0.018, -0.03, 0.001), 0.02, 1000) == 1115  # "worse" is near, "not worse" far


def test_rows_needed__where_both_answers_end_no_number_helps():
    assert rows_needed(about(0.0, -0.02, 0.02), 0.0, 1000) is None


@unhurried
@given(st.floats(-0.5, 0.5), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.2), st.integers(1, 10**6))
def test_rows_needed__is_enough_and_more_than_there_are(value, below, above, margin, rows):
    needed = rows_needed(about(value, value - below, value + above), margin, rows)
    if needed is not None:
        shrink = (rows / needed) ** 0.5
        assert needed > rows
        assert value - below * shrink > -margin - 1e-9 or value + above * shrink < 1e-9
