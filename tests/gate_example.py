"""What the gate reads, of a model that passes: each function takes what a test wants otherwise."""

from hypothesis import settings
from tests.project import EXAMPLE, ROOT

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
from textgate.gate.evidence_set import EvidenceSet, Sealed
from textgate.gate.gate import judge
from textgate.verdicts import ModelTests, Scan, ScannedFile, TestGroup

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


GONE = {
    "data": "data",
    "train": "training",
    "metrics": "accuracy",
    "champion": "against production",
    "comparison": "against production",
    "model_tests": "model tests",
    "scan": "scan",
}
