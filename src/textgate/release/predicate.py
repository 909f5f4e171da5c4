"""What GitHub attests about a release beside who built it: the verdict, as the predicate of an in-toto statement."""

from __future__ import annotations

from textgate.evidence import Estimate, Latency, Release
from textgate.records import Evidence, Record, Sha256
from textgate.release.assets import Judged
from textgate.verdicts import Check, Gate


class Figures(Record):
    """What was measured of the model, with 95 % intervals."""

    accuracy: Estimate
    macro_f1: Estimate
    label_f1: dict[str, Estimate]
    external_accuracy: Estimate | None
    latency: Latency


class Predicate(Evidence):
    """predicate.json: the release, the verdict on it, its figures, and the hashes of its assets."""

    release: Release
    outcome: str
    sentence: str
    gates_sha256: Sha256
    checks: tuple[Check, ...]
    figures: Figures | None
    assets: dict[str, Sha256]


def predicate(release: Release, judged: Judged, assets: dict[str, str]) -> Predicate:
    """Return what is attested about a release; `assets` are its files with their SHA-256."""
    gate: Gate = judged.gate
    return Predicate(
        release=release,
        outcome=gate.outcome,
        sentence=gate.sentence,
        gates_sha256=gate.gates_sha256,
        checks=gate.checks,
        figures=_figures(judged),
        assets=assets,
    )


def _figures(judged: Judged) -> Figures | None:
    candidate = judged.metrics.of("candidate")
    if candidate is None:
        return None
    return Figures(
        accuracy=candidate.test.accuracy,
        macro_f1=candidate.test.macro_f1,
        label_f1={score.label: score.f1 for score in candidate.test.labels},
        external_accuracy=candidate.external.accuracy if candidate.external else None,
        latency=candidate.latency,
    )
