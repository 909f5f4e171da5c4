"""What the judging stages found: the types of model-tests.json, scan.json, gate.json and stages/NAME.json."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat

from textgate.evidence import Latency
from textgate.records import Count, Evidence, Outcome, Record, Sha256

StageOutcome = Literal["passed", "refused", "unknown", "unchanged", "not run"]


class TestGroup(Record):
    """The results of one file of model tests."""

    __test__ = False
    passed: Count
    failed: Count
    skipped: Count
    errors: Count = 0  # tests that could not be run to their end: they say nothing about the model


class TestFailure(Record):
    """A model test that did not pass, with its one-line reason."""

    __test__ = False
    test: str
    reason: str


class ModelTests(Evidence):
    """build/model-tests.json: what pytest found when it ran model_tests/ on the bundle."""

    bundle_digest: Sha256
    gates_sha256: Sha256
    tests_sha256: Sha256  # the files in model_tests/ and the plain sentences
    data_fingerprint: Sha256
    groups: dict[str, TestGroup]
    failures: tuple[TestFailure, ...]
    not_checked: tuple[str, ...] = ()  # what these rows or settings gave no means to test, a sentence each
    asked_rows: Count | None = None  # test rows that the bundle was asked about; others are as `evaluate` kept them
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

    bundle_digest: Sha256 | None  # None: the folder cannot have one (a link, an odd name), and so cannot pass a gate
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
    commit: str | None  # where the bundle was trained
    judged_commit: str | None = None  # where it was judged: later, if nothing that trains had changed
    gates_sha256: Sha256
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()  # what was not judged, a sentence each


class StageTime(Evidence):
    """build/stages/NAME.json: how one stage went, and how long it took."""

    stage: str
    seconds: FiniteFloat
    outcome: StageOutcome
    reason: str | None = None


class Stages(Record):
    """Every stage that left word of how it went, in the order of the pipeline."""

    stages: tuple[StageTime, ...]
