"""What the judging stages found: the types of model-tests.json, scan.json, gate.json and stages.json."""

from __future__ import annotations

from pydantic import FiniteFloat

from textgate.evidence import Latency
from textgate.records import Count, Evidence, Outcome, Record, Sha256


class TestGroup(Record):
    """The results of one file of model tests."""

    __test__ = False
    passed: Count
    failed: Count
    skipped: Count


class TestFailure(Record):
    """A model test that failed, with its one-line reason."""

    __test__ = False
    test: str
    reason: str


class ModelTests(Evidence):
    """build/model-tests.json: what pytest found when it ran model_tests/ on the bundle."""

    bundle_digest: Sha256
    gates_sha256: Sha256
    data_fingerprint: Sha256
    groups: dict[str, TestGroup]
    failures: tuple[TestFailure, ...]
    latency: Latency | None
    seconds: FiniteFloat


class ScannedFile(Record):
    """One file and who vouched for it."""

    path: str
    bytes: Count
    sha256: Sha256 | None
    voucher: str | None  # "modelscan", "safetensors", "onnx", "skops", "json", "text"; None: nobody
    findings: tuple[str, ...]


class Scan(Evidence):
    """build/scan.json: the scanner's findings and the policy's, file by file."""

    bundle_digest: Sha256
    outcome: Outcome
    modelscan_version: str
    canary_caught: bool
    files: tuple[ScannedFile, ...]
    errors: tuple[str, ...]
    seconds: FiniteFloat


class Check(Record):
    """One question the gate asked, and its answer."""

    name: str
    outcome: Outcome
    found: str
    limit: str
    reason: str
    advisory: bool = False  # shown, but does not decide


class Gate(Evidence):
    """build/gate.json: the verdict."""

    outcome: Outcome
    sentence: str
    bundle_digest: Sha256 | None
    data_fingerprint: Sha256 | None
    commit: str | None
    gates_sha256: Sha256
    checks: tuple[Check, ...]


class StageTime(Record):
    """One row of the summary table."""

    stage: str
    seconds: FiniteFloat
    outcome: str  # "passed", "refused", "unknown", "unchanged"


class Stages(Evidence):
    """build/stages.json: what ran, how long it took."""

    stages: tuple[StageTime, ...]
