"""The evidence in build/ as the gate uses it: each piece is there and about this very bundle, or absent with a reason.

Absent evidence never passes: missing, unreadable, stale (made from another bundle, other rows, other limits) and
foreign (made with another production model) each end here as one sentence that says what to run next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from textgate import bundle, model_tests, records
from textgate.bundle import Manifest
from textgate.errors import Refused, TextgateError
from textgate.evidence import Champion, Comparisons, DataReport, Metrics, TrainReport
from textgate.files import sha256_file
from textgate.records import Evidence
from textgate.rows import check_rows
from textgate.verdicts import ModelTests, Scan

# field -> file, type, stage that writes it
FILES: dict[str, tuple[str, type[Evidence], str]] = {
    "data": ("data/data.json", DataReport, "data"),
    "train": ("train.json", TrainReport, "train"),
    "champion": ("champion.json", Champion, "choose"),
    "metrics": ("metrics.json", Metrics, "evaluate"),
    "comparison": ("comparison.json", Comparisons, "evaluate"),
    "model_tests": ("model-tests.json", ModelTests, "model_tests"),
    "scan": ("scan.json", Scan, "scan"),
}


@dataclass(frozen=True)
class Absent:
    """Evidence that cannot be used: what is wrong, a colon, and what to do next."""

    reason: str
    outcome: Literal["refused", "unknown"] = "unknown"


@dataclass(frozen=True)
class Sealed:
    """The bundle as it lies there now, verified."""

    digest: str
    megabytes: float
    manifest: Manifest


@dataclass(frozen=True)
class EvidenceSet:
    """All that is judged."""

    bundle: Sealed | Absent
    data: DataReport | Absent
    train: TrainReport | Absent
    champion: Champion | Absent
    metrics: Metrics | Absent
    comparison: Comparisons | Absent
    model_tests: ModelTests | Absent
    scan: Scan | Absent
    tests_sha256: str | None  # of the model tests as they are now; None if that cannot be told


def collect(build: Path, tests: Path) -> EvidenceSet:
    """Read the evidence under `build`, and verify its rows and build/model. Never raises for what it finds there.

    `tests` is the folder of the model tests.
    """
    pieces: dict[str, Any] = {}
    for name, (file, kind, stage) in FILES.items():
        try:
            pieces[name] = records.read(build / file, kind, stage)
            if isinstance(pieces[name], DataReport):
                check_rows(build / "data", pieces[name].fingerprint)
        except TextgateError as error:
            pieces[name] = Absent(str(error))
        except OSError as error:
            pieces[name] = Absent(f'{build / file}: {error.strerror}: run "make {stage}" again')
    return EvidenceSet(bundle=_seal(build / "model"), tests_sha256=_hash(tests), **pieces)


def hash_limits(path: Path) -> str:
    """Return the SHA-256 of configs/gates.yaml; that of no file is all zeros."""
    return sha256_file(path) if path.is_file() else "0" * 64


def _hash(tests: Path) -> str | None:
    try:
        return model_tests.hash_tests(tests)
    except (TextgateError, OSError):
        return None


def _seal(path: Path) -> Sealed | Absent:
    try:
        manifest, digest = bundle.verify_digest(path)
        return Sealed(digest, bundle.megabytes(path), manifest)
    except TextgateError as error:
        return Absent(str(error), "refused" if isinstance(error, Refused) else "unknown")
    except OSError as error:
        return Absent(f'{path}: {error.strerror}: run "make train" again')


def current(evidence: EvidenceSet, gates_sha256: str) -> EvidenceSet:
    """Set aside what is not about this bundle, these rows, these limits and this production model."""
    sealed, data = evidence.bundle, evidence.data
    if isinstance(sealed, Sealed) and isinstance(data, DataReport):
        if sealed.manifest.data_fingerprint != data.fingerprint:
            data = Absent('data/data.json is about other rows than the bundle was made from: run "make train" again')
        elif set(sealed.manifest.labels) != set(data.labels):
            data = Absent('data/data.json has other labels than the bundle: run "make train" again')
    wanted = {
        "bundle_digest": sealed.digest if isinstance(sealed, Sealed) else None,
        "data_fingerprint": data.fingerprint if isinstance(data, DataReport) else None,
        "gates_sha256": gates_sha256,
        "tests_sha256": evidence.tests_sha256,
    }
    kept: dict[str, Any] = {name: _matched(name, getattr(evidence, name), wanted) for name in FILES if name != "data"}
    same = replace(evidence, **{**kept, "data": data})
    return replace(same, champion=_stated(same.champion), metrics=_scored(same), comparison=_compared(same))


def _matched(name: str, piece: Evidence | Absent, wanted: dict[str, str | None]) -> Evidence | Absent:
    """Return the piece if what it says it was made from is what there is."""
    file, _, stage = FILES[name]
    words = {"bundle_digest": "bundle", "data_fingerprint": "data", "gates_sha256": "configs/gates.yaml"}
    words |= {"tests_sha256": "state of model_tests/ and the plain sentences"}
    for key, there in wanted.items():
        if not hasattr(piece, key):
            continue
        said: str | None = getattr(piece, key)
        if there is None:
            return Absent(f"{file} cannot be matched: the {words[key]} it names is not to be had here")
        if said != there:
            named = f"{said[:12]}…" if said else "without a digest"
            return Absent(f'{file} is about another {words[key]} ({named}): run "make {stage}" again')
    return piece


def _stated(champion: Champion | Absent) -> Champion | Absent:
    if isinstance(champion, Champion) and (champion.state == "given") != (champion.digest is not None):
        return Absent('champion.json contradicts itself about a production model: run "make choose" again')
    return champion


def _scored(evidence: EvidenceSet) -> Metrics | Absent:
    """Return the metrics if they are of this candidate, on all test rows, beside this production model."""
    metrics, champion, data = evidence.metrics, evidence.champion, evidence.data
    if not isinstance(metrics, Metrics) or not isinstance(data, DataReport):
        return metrics
    again = 'run "make evaluate" again'
    candidate, reference = metrics.of("candidate"), metrics.of("champion")
    if candidate is None or candidate.digest != metrics.bundle_digest:
        return Absent(f"metrics.json has no figures of this candidate: {again}")
    if candidate.test.rows != (rows := sum(data.rows.get("test", {}).values())) or not rows:
        return Absent(f"metrics.json is about {candidate.test.rows:,} test rows, there are {rows:,}: {again}")
    if isinstance(champion, Champion) and (reference and reference.digest) != champion.digest:
        return Absent(f"metrics.json was made with another production model: {again}")
    return metrics


def _compared(evidence: EvidenceSet) -> Comparisons | Absent:
    """Return the comparison if it is with the production model that champion.json states, on all test rows."""
    found, champion, data = evidence.comparison, evidence.champion, evidence.data
    if not isinstance(found, Comparisons) or not isinstance(data, DataReport) or not isinstance(champion, Champion):
        return found
    again = 'run "make evaluate" again'
    reference = found.champion.reference_digest if found.champion else None
    if found.champion_state != champion.state or reference != champion.digest:
        return Absent(f"comparison.json was made with another production model: {again}")
    if found.champion and found.champion.rows != (rows := sum(data.rows.get("test", {}).values())):
        return Absent(f"comparison.json is about {found.champion.rows:,} test rows, there are {rows:,}: {again}")
    return found
