"""One point of a curve in a process of its own. `growth_point.py ROWS LABELS [BUILD]` prints {"seconds": …}.

It does what `evaluate` and `gate` do with scored rows: figures of three models with their intervals, two comparisons,
and the checks against production. BUILD: a folder that gets the evidence, for scripts/report.py to show.
"""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import scipy.sparse
import scipy.special  # noqa: F401 - both are else imported at their first use, and flatten the line
from growth_inputs import marked, predictions
from harness import ROOT

from textgate import records
from textgate.bundle import seal
from textgate.config import Experiment, Gates, load
from textgate.data.reference import reference
from textgate.evaluate.compare import accuracy_delta, compare
from textgate.evaluate.latency import latency_ratio, summary
from textgate.evaluate.metrics import Marked, Predictions, score
from textgate.evidence import Champion, Comparison, Comparisons, DataReport, Metrics, ModelScores, TrainReport
from textgate.files import sha256_bytes
from textgate.gate.against_champion import champion_checks
from textgate.rows import fingerprint

SKILL = {"candidate": 0.96, "champion": 0.95, "baseline": 0.93}
OTHER, COMMIT = "b" * 64, "c" * 40
NOTHING = sha256_bytes(b"")
FINGERPRINT = fingerprint([NOTHING] * 4)  # of rows that are not there: what is measured here begins after them
MS = np.linspace(1, 9, 300)


def measured(rows: Marked, said: dict[str, Predictions], digest: str) -> tuple[Metrics, Comparisons, float]:
    """Return the evidence, and the seconds that it and the checks took."""
    started = perf_counter()
    models = tuple(
        ModelScores(
            role=role,
            name="001_baseline" if role == "baseline" else "v0.1.0",
            kind="tfidf",
            digest=digest if role == "candidate" else OTHER,
            megabytes=1.0,
            test=score(rows, said[role]),
            external=None,
            latency=summary(MS),
        )
        for role in SKILL
    )
    champion, baseline = (_comparison(rows, said, role) for role in ("champion", "baseline"))
    stated = Champion(state="given", name="v0.1.0", path="champion", digest=OTHER)
    champion_checks(champion, stated, rows.labels, load(ROOT / "configs/gates.yaml", Gates).against_champion)
    seconds = perf_counter() - started
    about = {"bundle_digest": digest, "data_fingerprint": FINGERPRINT}
    metrics = Metrics(**about, models=models, seconds=seconds)
    return metrics, Comparisons(**about, champion_state="given", champion=champion, baseline=baseline), seconds


def _comparison(rows: Marked, said: dict[str, Predictions], role: str) -> Comparison:
    right, other = (said[who].predicted == rows.truth for who in ("candidate", role))
    return compare(
        rows,
        said["candidate"],
        said[role],
        reference=role,  # type: ignore[arg-type]
        reference_digest=OTHER,
        external_accuracy=accuracy_delta("external accuracy", right, other),
        latency_ratio=latency_ratio(MS, MS),
    )


def sealed(build: Path, labels: tuple[str, ...]) -> str:
    """Write a bundle of one small file and return its digest."""
    (build / "model").mkdir(parents=True)
    (build / "model/config.json").write_text("{}", encoding="utf-8")
    return seal(
        build / "model",
        config=load(ROOT / "configs/experiments/001_baseline.yaml", Experiment),
        parts=(),
        kind="tfidf",
        labels=labels,
        experiment="001_baseline",
        seed=1,
        data_fingerprint=FINGERPRINT,
        commit=COMMIT,
        lock_sha256=NOTHING,
        versions={},
        reference=reference(["a text"], ["da"]),
    )


def write_rest(build: Path, rows: Marked, digest: str) -> None:
    """Write the evidence that other stages leave."""
    counts = {label: int(count) for label, count in zip(rows.labels, np.bincount(rows.truth), strict=True)}
    data = DataReport(
        source="rows.jsonl",
        licence="own",
        fingerprint=FINGERPRINT,
        test_sha256=NOTHING,
        test_locked=False,
        labels=rows.labels,
        rows={"train": counts, "valid": counts, "test": counts, "external": dict.fromkeys(rows.labels, 0)},
        dropped={},
        near_duplicates={},
        near_duplicate_examples=(),
        expectations=9,
        notes=(),
        reference=reference(rows.rows.texts, rows.rows.labels),
    )
    train = TrainReport(
        bundle_digest=digest,
        baseline_digest=OTHER,
        data_fingerprint=FINGERPRINT,
        experiment="001_baseline",
        device="cpu",
        threads=1,
        precision="float64",
        epochs=(),
        valid_macro_f1={"candidate": 0.9},
        seconds=1.0,
        peak_memory_mb=1.0,
    )
    records.write(build / "data/data.json", data)
    records.write(build / "train.json", train)
    records.write(build / "champion.json", Champion(state="given", name="v0.1.0", path="champion", digest=OTHER))


def main() -> None:
    """Measure one point."""
    count, number, *build = sys.argv[1:]
    labels = tuple(f"label {place:03}" for place in range(int(number)))
    rows = marked(int(count), labels)
    said = {role: predictions(rows, skill, seed) for seed, (role, skill) in enumerate(SKILL.items())}
    folder = Path(build[0]) if build else None
    digest = sealed(folder, labels) if folder else OTHER
    metrics, comparisons, seconds = measured(rows, said, digest)
    if folder:
        write_rest(folder, rows, digest)
        records.write(folder / "metrics.json", metrics)
        records.write(folder / "comparison.json", comparisons)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
