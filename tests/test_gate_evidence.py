"""Evidence that is missing, stale, foreign or contradicts itself is unknown, and worse evidence never a pass."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gate_example import (
    BUNDLE,
    GATES,
    GONE,
    OTHER,
    PRODUCTION,
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
    train,
    unhurried,
    verdict,
)

from textgate.evidence import (
    Champion,
)
from textgate.gate.evidence_set import Absent, Sealed
from textgate.gate.gate import summary
from textgate.verdicts import ScannedFile


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
