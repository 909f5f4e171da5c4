"""Evidence as a real run leaves it, made up: three labels (or any number), production or none, good or bad."""

from __future__ import annotations

import hashlib
import math
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from textgate import records
from textgate.evidence import (
    Champion,
    Comparison,
    Comparisons,
    DataReport,
    Delta,
    Epoch,
    Estimate,
    Flip,
    LabelScore,
    Latency,
    Metrics,
    ModelScores,
    Reference,
    ReliabilityBin,
    Scores,
    SliceScore,
    TrainReport,
)
from textgate.github.hand_over import hand_over
from textgate.records import Outcome
from textgate.report.found import FILES, STAGE_FILES, Found
from textgate.verdicts import (
    Check,
    Gate,
    ModelTests,
    Scan,
    ScannedFile,
    Stages,
    StageTime,
    TestFailure,
    TestGroup,
)

LABELS = ("da", "nb", "sv")
Role = Literal["candidate", "champion", "baseline"]
SKILL: dict[Role, float] = {"candidate": 0.962, "champion": 0.966, "baseline": 0.969}
AWAY: dict[Role, float] = {"candidate": 0.928, "champion": 0.911, "baseline": 0.901}


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


BUNDLE, DATA = sha("candidate"), sha("data")


def around(value: float, rows: int) -> Estimate:
    half = 1.96 * math.sqrt(max(value * (1 - value), 1e-4) / max(rows, 1))
    return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def scores(labels: Sequence[str], rows: int, skill: float, seed: int) -> Scores:
    """Make figures that fit together: a confusion table is drawn, the rest is counted from it."""
    draw = random.Random(seed)
    shares = [1 / (number + 1) for number in range(len(labels))]
    counts = [max(2, round(rows * share / sum(shares))) for share in reversed(shares)]
    confusion = [[0] * len(labels) for _ in labels]
    for true, count in enumerate(counts):
        for _ in range(count):
            hit = draw.random() < skill - 0.03 * (true == 0)
            confusion[true][true if hit else (true + draw.randrange(1, len(labels))) % len(labels)] += 1
    columns = [sum(row[number] for row in confusion) for number in range(len(labels))]
    found = []
    for number, label in enumerate(labels):
        right = confusion[number][number]
        precision, recall = right / max(1, columns[number]), right / counts[number]
        f1 = 2 * right / (columns[number] + counts[number])
        figures = {"precision": precision, "recall": recall, "f1": f1}
        estimates = {name: around(value, counts[number]) for name, value in figures.items()}
        found.append(LabelScore(label=label, rows=counts[number], **estimates))
    total, right = sum(counts), sum(confusion[n][n] for n in range(len(labels)))
    bins = [0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.97]
    slices = [("characters", "20-31", 0.93), ("characters", "32-48", 0.96), ("characters", "49-400", 0.985)]
    slices += [("label", label, skill) for label in labels[:20]] + [("group", "climate", 0.95)]
    return Scores(
        rows=total,
        accuracy=around(right / total, total),
        macro_f1=around(sum(score.f1.value for score in found) / len(found), total),
        labels=tuple(found),
        ece=0.021,
        brier=0.061,
        reliability=tuple(
            ReliabilityBin(rows=20 + 200 * (b > 0.9), confidence=b, accuracy=min(1.0, b + draw.uniform(-0.08, 0.06)))
            for b in bins
        ),
        columns=tuple(labels),
        confusion=tuple(tuple(row) for row in confusion),
        slices=tuple(
            SliceScore(slice=kind, name=name, rows=total // 4, accuracy=around(value, total // 4))
            for kind, name, value in slices
        ),
    )


def model(role: Role, labels: Sequence[str] = LABELS, rows: int = 1624) -> ModelScores:
    name = {"candidate": "003_ensemble", "champion": "v1.3.0", "baseline": "001_baseline"}[role]
    fast = role == "baseline"
    return ModelScores(
        role=role,
        name=name,
        kind="tfidf" if fast else "ensemble",
        digest=BUNDLE if role == "candidate" else sha(role),
        megabytes=9.4 if fast else 121.3,
        test=scores(labels, rows, SKILL[role], seed=len(role)),
        external=scores(labels, 819, AWAY[role], seed=len(role) + 1),
        latency=Latency(texts=200, p50_ms=0.8 if fast else 9.1, p95_ms=1.3 if fast else 14.2, p99_ms=21.0),
    )


def delta(name: str, ours: float, theirs: float, error: float, adjust: int = 1) -> Delta:
    value = ours - theirs
    p_value = math.erfc(abs(value) / error / math.sqrt(2))
    return Delta(
        name=name,
        candidate=ours,
        reference=theirs,
        delta=Estimate(value=value, low=value - 1.96 * error, high=value + 1.96 * error),
        p_value=p_value,
        p_adjusted=min(1.0, p_value * adjust),
        standard_error=error,
    )


def comparison(ours: ModelScores, theirs: ModelScores, texts: Sequence[str] = ()) -> Comparison:
    assert theirs.role != "candidate"
    assert ours.external is not None
    assert theirs.external is not None
    labels = [score.label for score in ours.test.labels]
    words = texts or [f"Lysene i stuen {number} er slukket | se `log`" for number in range(14)]
    return Comparison(
        reference=theirs.role,
        reference_digest=theirs.digest,
        rows=ours.test.rows,
        accuracy=delta("accuracy", ours.test.accuracy.value, theirs.test.accuracy.value, 0.0036),
        macro_f1=delta("macro-F1", ours.test.macro_f1.value, theirs.test.macro_f1.value, 0.0074),
        labels=tuple(
            delta(f"F1 {mine.label}", mine.f1.value, other.f1.value, 0.6 / math.sqrt(mine.rows) / 4, len(labels))
            for mine, other in zip(ours.test.labels, theirs.test.labels, strict=True)
        ),
        external_accuracy=delta(
            "external accuracy", ours.external.accuracy.value, theirs.external.accuracy.value, 0.009
        ),
        latency_ratio=Estimate(value=1.04, low=0.98, high=1.11),
        detectable_accuracy=0.008,
        detectable_macro_f1=0.014,
        won=24,
        lost=31,
        flips=tuple(
            Flip(
                row=f"climate/{number}",
                text=text,
                label=labels[number % len(labels)],
                candidate=labels[(number + number % 3) % len(labels)],
                candidate_probability=0.97 - number / 50,
                reference=labels[(number + 1 - number % 3) % len(labels)],
                reference_probability=0.91 - number / 50,
                won=number % 3 == 0,
            )
            for number, text in enumerate(words)
        ),
    )


def gate(ours: ModelScores, against: Comparison | None, outcome: Outcome = "passed") -> Gate:
    """Make a verdict with the names that the gate uses; `refused` refuses the first label, `unknown` the scan."""
    test = ours.test
    assert ours.external is not None
    checks = [
        Check(name="bundle", outcome="passed", found=f"{BUNDLE[:12]}…", limit="one digest", reason=""),
        Check(name="data", outcome="passed", found="locked", limit="one fingerprint", reason=""),
        at_least("accuracy", test.accuracy.value, 0.85),
        at_least("macro-F1", test.macro_f1.value, 0.85),
        *(at_least(f"F1 {score.label}", score.f1.value, 0.75) for score in test.labels),
        at_least("external accuracy", ours.external.accuracy.value, 0.80),
        Check(name="latency p95 (ms)", outcome="passed", found="14.2 ms", limit="< 500.0 ms", reason=""),
        Check(name="bundle size (MB)", outcome="passed", found="121.3 MB", limit="≤ 150.0 MB", reason=""),
        *(
            Check(name=f"model tests: {group}", outcome="passed", found="17 of 17", limit="all", reason="")
            for group in ("accuracy", "latency", "schema", "behaviour")
        ),
        Check(
            name="scan",
            outcome="unknown" if outcome == "unknown" else "passed",
            found="6 files, each vouched for",
            limit="all",
            reason='build/scan.json is missing: run "make scan" first' if outcome == "unknown" else "",
        ),
    ]
    if against is not None and against.reference == "champion":
        for change in (against.accuracy, against.macro_f1, *against.labels):
            worse = outcome == "refused" and change is against.labels[0]
            checks.append(
                Check(
                    name=f"{change.name} against production",
                    outcome="refused" if worse else "unknown" if change.delta.low < -0.02 else "passed",
                    found=f"{change.delta.value:+.3f}",
                    limit="not worse by 0.020",
                    reason=f"the change lies between {change.delta.low:+.3f} and {change.delta.high:+.3f}; "
                    "about 4,100 test rows would tell",
                    advisory=not worse,
                )
            )
    sentence = {
        "passed": "textgate passed this model: every check holds",
        "refused": f"textgate refused this model: F1 {test.labels[0].label} got worse",
        "unknown": "textgate could not judge this model: the scan has not run",
    }[outcome]
    return Gate(
        outcome=outcome,
        sentence=sentence,
        bundle_digest=BUNDLE,
        data_fingerprint=DATA,
        commit="a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
        gates_sha256=sha("gates"),
        checks=tuple(checks),
    )


def at_least(name: str, found: float, limit: float) -> Check:
    outcome: Outcome = "passed" if found >= limit else "refused"
    return Check(
        name=name, outcome=outcome, found=f"{found:.3f}", limit=f"≥ {limit:.3f}", reason=f"{found:.3f} < {limit:.3f}"
    )


def data_report(labels: Sequence[str] = LABELS) -> DataReport:
    shares = {label: 1 / len(labels) for label in labels}
    return DataReport(
        source="wheel homeassistant==2024.3.3",
        licence="Apache-2.0",
        fingerprint=DATA,
        test_sha256=sha("test"),
        test_locked=True,
        labels=tuple(labels),
        rows={
            split: {label: rows // len(labels) for label in labels}
            for split, rows in (("train", 6200), ("valid", 1081), ("test", 1624), ("external", 819))
        },
        dropped={"too short": 5120, "equal to the English": 840, "two labels": 96},
        near_duplicates={"valid": 12, "test": 19},
        near_duplicate_examples=(("Lyset i stuen er tændt", "Lyset i stuen er slukket"),),
        expectations=9,
        notes=("no plain sentences for two labels",),
        reference=Reference(
            label_share=shares,
            characters_quantiles=(20.0, 40.0),
            words_quantiles=(3.0, 7.0),
            character_share={"e": 0.2},
        ),
    )


def train_report(epochs: int = 4) -> TrainReport:
    return TrainReport(
        bundle_digest=BUNDLE,
        baseline_digest=sha("baseline"),
        data_fingerprint=DATA,
        experiment="003_ensemble",
        device="cpu",
        threads=2,
        precision="bf16",
        epochs=tuple(
            Epoch(epoch=n + 1, train_loss=0.9 / (n + 1), valid_macro_f1=0.93 - 0.2 / (n + 1) ** 2, seconds=31.0)
            for n in range(epochs)
        ),
        valid_macro_f1={"candidate": 0.957, "baseline": 0.949, "002_transformer": 0.931},
        seconds=131.0,
        peak_memory_mb=2810.0,
    )


def model_tests(failed: int = 0) -> ModelTests:
    return ModelTests(
        bundle_digest=BUNDLE,
        gates_sha256=sha("gates"),
        tests_sha256=sha("tests"),
        data_fingerprint=DATA,
        groups={
            "accuracy": TestGroup(passed=5, failed=failed, skipped=0),
            "behaviour": TestGroup(passed=60, failed=0, skipped=0),
        },
        failures=tuple(TestFailure(test=f"test_floor[{n}]", reason="0.71 < 0.75") for n in range(failed)),
        not_checked=("plain sentences: configs/data.yaml names none",),
        latency=Latency(texts=200, p50_ms=9.1, p95_ms=14.2, p99_ms=21.0),
        seconds=18.4,
    )


def scan() -> Scan:
    vouchers = {
        "config.json": "json",
        "manifest.json": "json",
        "onnx/model.onnx": "onnx",
        "tfidf.safetensors": "safetensors",
    }
    return Scan(
        bundle_digest=BUNDLE,
        outcome="passed",
        modelscan_version="0.8.8",
        canary_caught=True,
        files=tuple(
            ScannedFile(path=path, bytes=2048, sha256=sha(path), voucher=voucher, findings=())
            for path, voucher in vouchers.items()
        ),
        errors=(),
        seconds=7.9,
    )


REASONS = {"refused": "the gate said no", "unknown": "modelscan did not end within 60 s"}


def stages(**outcomes: Outcome) -> Stages:
    names = ("data", "train", "evaluate", "model_tests", "scan", "gate")
    return Stages(
        stages=tuple(
            StageTime(
                stage=name,
                seconds=4.2,
                outcome=outcomes.get(name, "passed"),
                reason=REASONS.get(outcomes.get(name, "passed")),
            )
            for name in names
        )
    )


def example(
    labels: Sequence[str] = LABELS,
    *,
    champion: bool = True,
    outcome: Outcome = "passed",
    rows: int = 1624,
    texts: Sequence[str] = (),
) -> Found:
    """Make the evidence of one whole run."""
    ours, baseline = model("candidate", labels, rows), model("baseline", labels, rows)
    production = model("champion", labels, rows) if champion else None
    state: Literal["none yet", "given"] = "given" if champion else "none yet"
    against = comparison(ours, production, texts) if production else None
    return Found(
        data=data_report(labels),
        train=train_report(),
        champion=Champion(
            state=state, name="v1.3.0" if champion else None, digest=sha("champion") if champion else None
        ),
        metrics=Metrics(
            bundle_digest=BUNDLE,
            data_fingerprint=DATA,
            models=tuple(filter(None, (ours, baseline, production))),
            seconds=33.0,
        ),
        comparison=Comparisons(
            bundle_digest=BUNDLE,
            data_fingerprint=DATA,
            champion_state=state,
            champion=against,
            baseline=comparison(ours, baseline, texts),
        ),
        model_tests=model_tests(),
        scan=scan(),
        gate=gate(ours, against, outcome),
        stages=stages(scan="unknown" if outcome == "unknown" else "passed", gate=outcome),
    )


def write_all(found: Found, build: Path) -> None:
    """Write evidence where the stages would have left it."""
    for name, (file, _, _) in FILES.items():
        piece = getattr(found, name)
        if piece is not None:
            records.write(build / file, piece)
    for time in found.stages.stages if found.stages else ():
        records.write(build / STAGE_FILES[time.stage][0], time)


def handed_on(found: Found) -> dict[str, bytes]:
    """Return evidence as a run hands it on."""
    with tempfile.TemporaryDirectory() as folder:
        build, to = Path(folder) / "build", Path(folder) / "evidence"
        write_all(found, build)
        return {name: (to / name).read_bytes() for name in hand_over(build, to)}
