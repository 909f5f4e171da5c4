"""The verdict: refused, else unknown, else passed; and evidence that got worse never turns into a pass."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.project import EXAMPLE, ROOT

from textgate import bundle, files, records
from textgate.bundle import Manifest
from textgate.config import Experiment, Gates, Tfidf, load
from textgate.evidence import (
    Champion,
    Comparison,
    Comparisons,
    DataReport,
    Delta,
    Estimate,
    LabelScore,
    Latency,
    Metrics,
    ModelScores,
    Reference,
    Scores,
    TrainReport,
)
from textgate.gate.against_champion import rows_needed
from textgate.gate.evidence_set import Absent, EvidenceSet, Sealed, collect
from textgate.gate.gate import judge, summary
from textgate.model_tests import hash_tests
from textgate.rows import SPLITS, fingerprint, split_hashes
from textgate.verdicts import Gate, ModelTests, Scan, ScannedFile, TestFailure, TestGroup

MODEL_TESTS = ROOT / "model_tests"
BUNDLE, ROWS, LIMITS, OTHER, PRODUCTION, BASELINE, TESTS = (digit * 64 for digit in "1234567")
GATES = load(EXAMPLE / "gates.yaml", Gates)
unhurried = settings(deadline=None, derandomize=True)  # a busy machine must not fail a test, nor chance
STOP = GATES.model_copy(update={"against_champion": GATES.against_champion.model_copy(update={"when_unclear": "stop"})})
REFERENCE = Reference(label_share={}, characters_quantiles=(), words_quantiles=(), character_share={})
LABELS = ("da", "nb")


def about(value, low=None, high=None):
    return Estimate(value=value, low=value if low is None else low, high=value if high is None else high)


def scores(*, rows=100, accuracy=0.95, macro_f1=0.94, f1=(0.93, 0.95)):
    each = (
        LabelScore(label=n, rows=50, precision=about(v), recall=about(v), f1=about(v))
        for n, v in zip(LABELS, f1, strict=True)
    )
    return Scores(
        rows=rows,
        accuracy=about(accuracy),
        macro_f1=about(macro_f1),
        labels=tuple(each),
        ece=0.01,
        brier=0.1,
        reliability=(),
        columns=LABELS,
        confusion=(),
        slices=(),
    )


def model(role="candidate", digest=BUNDLE, *, test=None, external=None, p95=20.0):
    ms = Latency(texts=200, p50_ms=10.0, p95_ms=p95, p99_ms=30.0)
    names = {"role": role, "name": role, "kind": "tfidf", "digest": digest, "megabytes": 1.0}
    return ModelScores(**names, test=test or scores(), external=external, latency=ms)


def metrics(*models, digest=BUNDLE, rows=ROWS):
    return Metrics(bundle_digest=digest, data_fingerprint=rows, models=models or (model(),), seconds=1.0)


def delta(name, value=0.0, low=-0.005, high=0.005):
    change = {"candidate": 0.9, "reference": 0.9, "delta": about(value, low, high)}
    return Delta(name=name, **change, p_value=0.01, p_adjusted=0.03, standard_error=0.01)


def comparison(reference="champion", digest=PRODUCTION, *, accuracy=(), macro_f1=(), labels=((), ()), rows=100):
    return Comparison(
        reference=reference,
        reference_digest=digest,
        rows=rows,
        accuracy=delta("accuracy", *accuracy),
        macro_f1=delta("macro-F1", *macro_f1),
        labels=tuple(delta(f"F1 {label}", *change) for label, change in zip(LABELS, labels, strict=True)),
        external_accuracy=None,
        latency_ratio=about(1.0),
        detectable_accuracy=0.01,
        detectable_macro_f1=0.01,
        won=1,
        lost=1,
        flips=(),
    )


def comparisons(champion=None, *, digest=BUNDLE, rows=ROWS, baseline=BASELINE):
    state = "none yet" if champion is None else "given"
    names = {"bundle_digest": digest, "data_fingerprint": rows, "champion_state": state, "champion": champion}
    return Comparisons(**names, baseline=comparison("baseline", baseline))


def data(external=0, test=100):
    rows = {"train": {"da": 100, "nb": 100}, "test": {"da": test // 2, "nb": test - test // 2}}
    return DataReport(
        source="synthetic",
        licence="none",
        fingerprint=ROWS,
        test_sha256=OTHER,
        test_locked=True,
        labels=LABELS,
        rows=rows | ({"external": {"da": external}} if external else {}),
        dropped={},
        near_duplicates={},
        near_duplicate_examples=(),
        expectations=6,
        notes=(),
        reference=REFERENCE,
    )


def experiment():
    return Experiment(description="n-grams", model=Tfidf(kind="tfidf", min_n=2, max_n=5, min_df=2, c=1.0))


def manifest(**changed):
    made = {
        "kind": "tfidf",
        "labels": LABELS,
        "experiment": "001_baseline",
        "config": experiment().model_dump(mode="json"),
        "parts": (),
    }
    made |= {"seed": 13, "data_fingerprint": ROWS, "commit": "c0ffee", "lock_sha256": OTHER, "versions": {}}
    return Manifest(**(made | {"reference": REFERENCE, "files": {"tfidf.json": OTHER}} | changed))


def train(**changed):
    made = {
        "bundle_digest": BUNDLE,
        "baseline_digest": BASELINE,
        "data_fingerprint": ROWS,
        "experiment": "001_baseline",
    }
    made |= {"device": "cpu", "threads": 2, "precision": "float32", "epochs": (), "valid_macro_f1": {"candidate": 0.9}}
    return TrainReport(**(made | {"seconds": 1.0, "peak_memory_mb": 100.0} | changed))


def suite(**changed):
    groups = {name: TestGroup(passed=3, failed=0, skipped=0) for name in ("accuracy", "latency", "schema", "behaviour")}
    found = {"bundle_digest": BUNDLE, "gates_sha256": LIMITS, "data_fingerprint": ROWS, "groups": groups}
    found |= {"tests_sha256": TESTS}
    return ModelTests(**(found | {"failures": (), "latency": None, "seconds": 5.0} | changed))


def group(name, **counts):
    return suite().groups | {name: TestGroup(**({"passed": 3, "failed": 0, "skipped": 0} | counts))}


def scan(**changed):
    seen = ScannedFile(path="tfidf.json", bytes=10, sha256=OTHER, voucher="json", findings=())
    found = {"bundle_digest": BUNDLE, "outcome": "passed", "modelscan_version": "0.8.8", "canary_caught": True}
    return Scan(**(found | {"files": (seen,), "errors": (), "seconds": 5.0} | changed))


def first_release(**changed):
    """All evidence of a model that passes while there is no production model."""
    found = {"bundle": Sealed(BUNDLE, 1.0, manifest()), "data": data(), "train": train(), "metrics": metrics()}
    found |= {
        "champion": Champion(state="none yet"),
        "comparison": comparisons(),
        "model_tests": suite(),
        "scan": scan(),
        "tests_sha256": TESTS,
    }
    return EvidenceSet(**(found | changed))


def against(**changes):
    """All evidence beside production v1.3.0, with the changes (value, low, high) of `comparison`."""
    return first_release(
        champion=Champion(state="given", name="v1.3.0", path="somewhere", digest=PRODUCTION),
        metrics=metrics(model(), model("champion", PRODUCTION)),
        comparison=comparisons(comparison(**changes)),
    )


def verdict(evidence, gates=GATES):
    return judge(evidence, gates, LIMITS)


def check(gate, name):
    return next(check for check in gate.checks if check.name == name)


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


# Missing, stale and foreign evidence.

GONE = {
    "data": "data",
    "train": "training",
    "metrics": "accuracy",
    "champion": "against production",
    "comparison": "against production",
    "model_tests": "model tests",
    "scan": "scan",
}


@pytest.mark.parametrize(("piece", "name"), GONE.items())
def test_judge__missing_evidence_is_unknown(piece, name):
    gate = verdict(first_release(**{piece: Absent(f"{piece} is missing: run it")}))
    assert (gate.outcome, check(gate, name).outcome) == ("unknown", "unknown")
    assert check(gate, name).reason == f"{piece} is missing: run it"


FOREIGN = {
    "bundle": {
        "train": train(bundle_digest=OTHER),
        "metrics": metrics(model(digest=OTHER), digest=OTHER),
        "comparison": comparisons(digest=OTHER),
        "model_tests": suite(bundle_digest=OTHER),
        "scan": scan(bundle_digest=OTHER),
    },
    "data": {
        "train": train(data_fingerprint=OTHER),
        "metrics": metrics(rows=OTHER),
        "comparison": comparisons(rows=OTHER),
        "model_tests": suite(data_fingerprint=OTHER),
    },
    "configs/gates.yaml": {"model_tests": suite(gates_sha256=OTHER)},
    "state of model_tests/ and the plain sentences": {"model_tests": suite(tests_sha256=OTHER)},
}


@pytest.mark.parametrize(
    ("what", "piece", "found"),
    [(what, name, found) for what, all_of in FOREIGN.items() for name, found in all_of.items()],
)
def test_judge__evidence_about_something_else_is_unknown(what, piece, found):
    gate = verdict(first_release(**{piece: found}))
    assert gate.outcome == "unknown"
    assert f"is about another {what} (444444444444…): run " in check(gate, GONE[piece]).reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bundle": Sealed(BUNDLE, 1.0, manifest(data_fingerprint=OTHER))}, "other rows than the bundle was made from"),
        ({"bundle": Sealed(BUNDLE, 1.0, manifest(labels=("da", "sv")))}, "has other labels than the bundle"),
        ({"metrics": metrics(model("baseline"))}, "metrics.json has no figures of this candidate"),
        ({"metrics": metrics(model(digest=OTHER))}, "metrics.json has no figures of this candidate"),
        ({"metrics": metrics(model(test=scores(rows=99)))}, "is about 99 test rows, there are 100"),
        ({"data": data(test=0)}, "is about 100 test rows, there are 0"),
        ({"metrics": metrics(model(), model("champion", OTHER))}, "metrics.json was made with another production"),
        ({"comparison": comparisons(comparison())}, "comparison.json was made with another production"),
        ({"comparison": comparisons(baseline=OTHER)}, "another baseline than train.json"),
        ({"champion": Champion(state="given", name="v1")}, "champion.json contradicts itself"),
        ({"champion": Champion(state="given", digest=PRODUCTION)}, "was made with another production model"),
    ],
)
def test_judge__evidence_that_does_not_fit_together_is_unknown(changed, reason):
    gate = verdict(first_release(**changed))
    assert gate.outcome == "unknown"
    assert any(reason in check.reason for check in gate.checks if check.outcome == "unknown")


def test_judge__model_tests_that_cannot_be_compared_with_those_there_are_unknown():
    gate = verdict(first_release(tests_sha256=None))
    assert gate.outcome == check(gate, "model tests").outcome == "unknown"


def test_judge__a_scan_of_a_folder_that_could_not_have_a_digest_is_unknown():
    gate = verdict(first_release(scan=scan(bundle_digest=None)))
    assert check(gate, "scan").reason == 'scan.json is about another bundle (without a digest): run "make scan" again'
    assert gate.outcome == "unknown"


def test_judge__no_production_yet_has_to_be_said_by_every_piece():
    gate = verdict(replace(against(), champion=Champion(state="none yet")))
    assert (gate.outcome, check(gate, "against production").outcome) == ("unknown", "unknown")


def test_judge__a_comparison_with_an_older_production_model_is_unknown():
    gate = verdict(replace(against(), comparison=comparisons(comparison(digest=OTHER))))
    assert gate.sentence.startswith(
        "textgate could not judge this model: comparison.json was made with another production model"
    )


def test_judge__a_comparison_on_some_of_the_rows_is_unknown():
    gate = verdict(replace(against(), comparison=comparisons(comparison(rows=60))))
    assert check(gate, "against production").reason.startswith("comparison.json is about 60 test rows, there are 100")


def test_judge__an_altered_bundle_is_refused_and_nothing_else_passes_for_it():
    gate = verdict(first_release(bundle=Absent("build/model: x.json is not the file that was sealed", "refused")))
    assert gate.outcome == check(gate, "bundle").outcome == "refused"
    assert gate.bundle_digest is None
    assert {check(gate, name).outcome for name in ("accuracy", "scan", "model tests", "training")} == {"unknown"}


def test_judge__refused_goes_before_unknown():
    both = first_release(metrics=metrics(model(test=scores(accuracy=0.1))), scan=Absent("scan.json is missing"))
    assert verdict(both).outcome == "refused"


def test_judge__further_reasons_are_counted():
    bad = first_release(metrics=metrics(model(test=scores(accuracy=0.1, macro_f1=0.1), p95=900.0)))
    assert verdict(bad).sentence.endswith("accuracy is 0.100, the limit is 0.850 (and 2 more reasons)")


def test_summary__shows_every_check_and_note():
    gate = verdict(against(macro_f1=(-0.01, -0.03, 0.01)))
    lines = summary(gate).splitlines()
    assert lines[0] == gate.sentence
    assert len(lines) == 1 + len(gate.checks) + len(gate.notes)
    assert any("(advisory) it cannot be told" in line for line in lines)


# Monotone: what makes evidence worse never turns refused or unknown into passed.

figures = st.floats(0.7, 1.0)
changes = st.tuples(st.floats(-0.08, 0.08), st.floats(0, 0.06), st.floats(0, 0.06)).map(
    lambda drawn: (drawn[0], drawn[0] - drawn[1], drawn[0] + drawn[2])
)


@st.composite
def evidence(draw):
    """Draw evidence that may pass, be refused or be unknown."""
    test = scores(accuracy=draw(figures), macro_f1=draw(figures), f1=(draw(figures), draw(figures)))
    candidate = model(test=test, p95=draw(st.floats(1, 600)))
    found = replace(
        against(accuracy=draw(changes), macro_f1=draw(changes), labels=(draw(changes), draw(changes))),
        metrics=metrics(candidate, model("champion", PRODUCTION)),
        model_tests=suite(groups=group("schema", failed=draw(st.integers(0, 1)), errors=draw(st.integers(0, 1)))),
        scan=scan(canary_caught=draw(st.booleans()), errors=draw(st.sampled_from([(), ("broken",)]))),
    )
    gone = draw(st.sampled_from([None, *GONE]))
    return replace(found, **{gone: Absent("gone")}) if gone else found


def lower(estimate, by):
    return about(estimate.value - by, estimate.low - by, estimate.high - by)


def worse_scores(found, by):
    if isinstance(found.metrics, Absent):
        return found
    candidate, *others = found.metrics.models
    was = candidate.test
    f1 = tuple(max(0.0, score.f1.value - by) for score in was.labels)
    test = scores(accuracy=was.accuracy.value - by, macro_f1=was.macro_f1.value - by, f1=f1)
    return replace(found, metrics=metrics(model(test=test, p95=candidate.latency.p95_ms * (1 + by)), *others))


def worse_comparison(found, by):
    if isinstance(found.comparison, Absent):
        return found
    was = found.comparison.champion
    fallen = {name: getattr(was, name).delta for name in ("accuracy", "macro_f1")}
    new = {n: getattr(was, n).model_copy(update={"delta": lower(d, by)}) for n, d in fallen.items()}
    new["labels"] = tuple(d.model_copy(update={"delta": lower(d.delta, by)}) for d in was.labels)
    return replace(found, comparison=comparisons(was.model_copy(update=new)))


def worse_tests(found, by):
    if isinstance(found.model_tests, Absent):
        return found
    groups = {
        name: counts.model_copy(update={"passed": 0 if by > 0.3 else counts.passed, "skipped": counts.skipped + 1})
        for name, counts in found.model_tests.groups.items()
    }
    return replace(found, model_tests=suite(groups=groups))


def worse_scan(found, by):
    bad = ScannedFile(path="x.pkl", bytes=1, sha256=None, voucher=None, findings=())
    return found if isinstance(found.scan, Absent) else replace(found, scan=scan(files=(bad,)))


def larger(found, by):
    return replace(found, bundle=Sealed(BUNDLE, 1.0 + 1000 * by, manifest()))


@unhurried
@given(
    evidence(),
    st.sampled_from([worse_scores, worse_comparison, worse_tests, worse_scan, larger]),
    st.floats(0, 0.5),
    st.sampled_from([GATES, STOP]),
)
def test_judge__worse_evidence_never_turns_into_a_pass(found, worsen, by, gates):
    if verdict(found, gates).outcome != "passed":
        assert verdict(worsen(found, by), gates).outcome != "passed"


@unhurried
@given(evidence(), st.sampled_from(["bundle", *GONE]))
def test_judge__less_evidence_never_passes(found, piece):
    assert verdict(replace(found, **{piece: Absent("gone")})).outcome != "passed"


@unhurried
@given(changes, st.floats(0, 0.5))
def test_judge__a_wider_interval_never_turns_into_a_pass_where_proof_is_asked_for(change, by):
    value, low, high = change
    wide = verdict(against(accuracy=(value, low - by, high + by)), STOP)
    if verdict(against(accuracy=change), STOP).outcome != "passed":
        assert wide.outcome != "passed"


# Files and the script.


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Make a folder with configs/ and evidence in build/ that passes, and go there."""
    shutil.copytree(EXAMPLE, tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    limits = (tmp_path / "configs" / "gates.yaml").read_bytes()
    build = tmp_path / "build"
    for split in SPLITS:
        files.write_text(build / "data" / f"{split}.jsonl", f"{split}\n")
    rows = fingerprint(split_hashes(build / "data"))
    files.write_text(build / "model" / "weights.json", "{}\n")
    made = manifest().model_dump(exclude={"schema_version", "files", "config"}) | {"config": experiment()}
    made |= {"data_fingerprint": rows}
    digest = bundle.seal(build / "model", **made)
    records.write(build / "data" / "data.json", data().model_copy(update={"fingerprint": rows}))
    records.write(build / "train.json", train(bundle_digest=digest, data_fingerprint=rows))
    records.write(build / "metrics.json", metrics(model(digest=digest), digest=digest, rows=rows))
    records.write(build / "comparison.json", comparisons(digest=digest, rows=rows))
    records.write(build / "champion.json", Champion(state="none yet"))
    about = {"bundle_digest": digest, "data_fingerprint": rows, "gates_sha256": files.sha256_bytes(limits)}
    found = suite(**about, tests_sha256=hash_tests(MODEL_TESTS))
    records.write(build / "model-tests.json", found)
    records.write(build / "scan.json", scan(bundle_digest=digest))
    return tmp_path


GATE = [sys.executable, ROOT / "scripts" / "gate.py"]


def run_gate(folder):
    done = subprocess.run(GATE, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, records.read(folder / "build" / "gate.json", Gate, "gate"), done.stdout


def test_script__passes_and_says_so(project):
    code, gate, printed = run_gate(project)
    assert (code, gate.outcome) == (0, "passed")
    assert printed.startswith("textgate passed this model: it meets every limit")


def test_script__a_missing_scan_is_unknown_and_exit_2(project):
    (project / "build" / "scan.json").unlink()
    code, gate, printed = run_gate(project)
    assert (code, gate.outcome) == (2, "unknown")
    sentence = 'textgate could not judge this model: build/scan.json is missing: run "make scan" first'
    assert gate.sentence == printed.splitlines()[0] == sentence


def test_script__an_impossible_limit_is_refused_and_exit_1(project):
    path = project / "configs" / "gates.yaml"
    limits = path.read_text().replace("min_accuracy: 0.85", "min_accuracy: 1.0")
    path.write_text(limits)
    old = json.loads((project / "build" / "model-tests.json").read_text())
    files.write_text(
        project / "build" / "model-tests.json", json.dumps(old | {"gates_sha256": files.sha256_file(path)})
    )
    code, gate, _ = run_gate(project)
    assert (code, gate.sentence) == (1, "textgate refused this model: accuracy is 0.950, the limit is 1.000")


def test_script__changed_limits_make_the_model_tests_stale(project):
    path = project / "configs" / "gates.yaml"
    path.write_text(path.read_text() + "# one more word\n")
    code, gate, _ = run_gate(project)
    assert code == 2
    assert "model-tests.json is about another configs/gates.yaml" in gate.sentence


def test_script__one_byte_of_the_bundle_changed_is_refused(project):
    files.write_text(project / "build" / "model" / "weights.json", "[]\n")
    code, gate, _ = run_gate(project)
    assert code == 1
    assert "weights.json is not the file that was sealed" in gate.sentence


def test_script__one_file_added_to_the_bundle_is_refused(project):
    files.write_text(project / "build" / "model" / "extra.json", "{}\n")
    code, gate, _ = run_gate(project)
    assert code == 1
    assert "extra.json is not in the manifest" in gate.sentence


@pytest.mark.parametrize("name", ["test", "external"])
def test_script__rows_that_data_json_does_not_describe_are_unknown(project, name):
    files.write_text(project / "build" / "data" / f"{name}.jsonl", "other rows\n")
    code, gate, _ = run_gate(project)
    assert (code, check(gate, "data").outcome) == (2, "unknown")
    assert "build/data does not hold the rows that its data.json describes" in check(gate, "data").reason
    assert gate.data_fingerprint is None


def test_script__changed_sentences_make_the_model_tests_stale(project):
    files.write_text(project / "configs" / "sentences.yaml", "da: [en]\nnb: [to]\n")
    code, gate, _ = run_gate(project)
    assert (code, check(gate, "model tests").outcome) == (2, "unknown")
    assert "and the plain sentences (" in check(gate, "model tests").reason


def test_script__settings_that_do_not_say_which_sentences_are_unknown(project):
    files.write_text(project / "configs" / "data.yaml", "sentences: [")
    code, gate, _ = run_gate(project)
    assert (code, check(gate, "model tests").outcome) == (2, "unknown")


def test_script__a_gate_that_dies_leaves_no_verdict_of_an_earlier_run(project):
    assert run_gate(project)[0] == 0
    full = 'ulimit -f 0; exec "$@"'  # no file may grow: as on a full disk
    done = subprocess.run(["bash", "-c", full, "bash", *GATE], cwd=project, capture_output=True, check=False)
    assert done.returncode == 2
    assert not (project / "build" / "gate.json").exists()


def test_script__a_model_judged_at_a_later_commit_than_it_was_trained_at_shows_both(project):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "later"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True)
    _, gate, _ = run_gate(project)
    assert (gate.commit, gate.judged_commit) == ("c0ffee", head.stdout.strip())


def test_script__limits_that_cannot_be_read_are_unknown(project):
    (project / "configs" / "gates.yaml").write_text("min_acuracy: 0.8\n")
    code, gate, _ = run_gate(project)
    assert code == 2
    assert "configs/gates.yaml: min_acuracy: unknown key" in gate.sentence


def test_script__no_build_folder_at_all_still_leaves_a_verdict(project):
    (project / "build").rename(project / "away")
    code, gate, _ = run_gate(project)
    assert (code, gate.outcome) == (2, "unknown")
    assert 'build/model is missing: run "make train" first' in gate.sentence


@pytest.mark.parametrize("broken", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": 2}', b"null"])
def test_collect__a_broken_file_is_a_reason_not_a_crash(project, broken):
    for name in ("train", "metrics", "comparison", "champion", "model-tests", "scan", "data/data"):
        (project / "build" / f"{name}.json").write_bytes(broken)
    (project / "build" / "model" / "manifest.json").write_bytes(broken)
    found = collect(project / "build", MODEL_TESTS)
    pieces = [getattr(found, name) for name in ("bundle", *GONE)]
    assert all(isinstance(piece, Absent) and piece.reason for piece in pieces)
    assert judge(found, GATES, LIMITS).outcome != "passed"
