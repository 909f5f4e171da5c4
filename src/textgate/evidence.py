"""What the stages measured: the types of data.json, train.json, champion.json, metrics.json and comparison.json.

release.json is here too, because a champion can be a release.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import FiniteFloat, StringConstraints, ValidationInfo, field_validator

from textgate.records import Commit, Count, Evidence, Positive, Record, Sha256, Share

VERSION = re.compile(r"^v(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\Z")


class Estimate(Record):
    """A figure with its 95 % interval."""

    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


class Reference(Record):
    """What the training rows looked like; later drift checks compare new rows with this."""

    label_share: dict[str, Share]
    characters_quantiles: tuple[FiniteFloat, ...]  # 0, 5, 10 ... 100 %
    words_quantiles: tuple[FiniteFloat, ...]
    character_share: dict[str, Share]  # the 200 most frequent lower-case characters


class DataReport(Evidence):
    """build/data.json: which rows there are, where they came from and what was dropped."""

    source: str
    licence: str
    fingerprint: Sha256  # over the four split files, in the order train, valid, test, external
    test_sha256: Sha256
    test_locked: bool
    labels: tuple[str, ...]
    rows: dict[str, dict[str, Count]]  # split -> label -> rows
    dropped: dict[str, Count]  # reason -> rows
    near_duplicates: dict[str, Count]  # "valid" / "test" -> rows that are nearly a training row
    near_duplicate_examples: tuple[tuple[str, str], ...]
    expectations: Count
    notes: tuple[str, ...]
    reference: Reference


class Epoch(Record):
    """One pass over the training rows."""

    epoch: Count
    train_loss: FiniteFloat
    valid_macro_f1: FiniteFloat
    seconds: FiniteFloat


class TrainReport(Evidence):
    """build/train.json: what was trained, on what, and how long it took (never part of the bundle)."""

    bundle_digest: Sha256
    baseline_digest: Sha256
    data_fingerprint: Sha256
    experiment: str
    device: str
    threads: Count  # of each process
    processes: Positive = 1  # until there could be several, it was not said
    precision: str
    epochs: tuple[Epoch, ...]
    valid_macro_f1: dict[str, Share]  # "candidate", "baseline" and, for an ensemble, each part
    seconds: FiniteFloat  # of a training that was gone on with, also those of the epochs before; not what the kill lost
    peak_memory_mb: FiniteFloat


class Release(Evidence):
    """release.json: which bundle a version is and where it came from. Built again, it is the same."""

    version: Annotated[str, StringConstraints(pattern=VERSION)]
    bundle_digest: Sha256
    data_fingerprint: Sha256
    experiment: str
    commit: str  # where the bundle was trained
    judged_commit: Commit  # where it was judged, and where the tag is


class Champion(Evidence):
    """build/champion.json: the production model, or the statement that there is none yet."""

    state: Literal["none yet", "given"]
    name: str | None = None  # the version of a release; else the experiment
    path: str | None = None  # of the bundle
    digest: Sha256 | None = None


class LabelScore(Record):
    """One label's figures on one set of rows."""

    label: str
    rows: Count
    precision: Estimate
    recall: Estimate
    f1: Estimate


class SliceScore(Record):
    """Accuracy on a part of the rows, such as short texts."""

    slice: str  # "characters", "label" or "group"
    name: str
    rows: Count
    accuracy: Estimate


class ReliabilityBin(Record):
    """Rows whose confidence falls into one bin: mean confidence against the share that was right."""

    rows: Count
    confidence: Share
    accuracy: Share


class Scores(Record):
    """A model's figures on one set of rows."""

    rows: Count
    accuracy: Estimate
    macro_f1: Estimate
    labels: tuple[LabelScore, ...]
    ece: Share
    brier: FiniteFloat
    reliability: tuple[ReliabilityBin, ...]
    columns: tuple[str, ...]  # predicted labels: the test labels, then any other label that the model knows
    confusion: dict[str, dict[str, Count]]  # true label -> predicted column -> rows, where there are any
    slices: tuple[SliceScore, ...]

    @field_validator("confusion", mode="before")
    @classmethod
    def _of_table(cls, value: Any, info: ValidationInfo) -> Any:
        """Read a table with all its zeros too, as earlier releases have it: of a thousand labels, it is 9 MB."""
        if not isinstance(value, list | tuple) or not all(isinstance(row, list | tuple) for row in value):
            return value
        labels, columns = (score.label for score in info.data.get("labels", ())), info.data.get("columns", ())
        return {
            label: {column: rows for column, rows in zip(columns, row, strict=False) if rows}
            for label, row in zip(labels, value, strict=False)
        }


class Latency(Record):
    """Milliseconds for one text at a time, tokenisation included."""

    texts: Count
    p50_ms: FiniteFloat
    p95_ms: FiniteFloat
    p99_ms: FiniteFloat


class ModelScores(Record):
    """Everything measured about one model."""

    role: Literal["candidate", "champion", "baseline"]
    name: str
    kind: str
    digest: Sha256
    megabytes: FiniteFloat
    test: Scores
    external: Scores | None
    latency: Latency


class Metrics(Evidence):
    """build/metrics.json: candidate, baseline and champion on the same rows, in the same run."""

    bundle_digest: Sha256
    data_fingerprint: Sha256
    models: tuple[ModelScores, ...]
    seconds: FiniteFloat

    def of(self, role: str) -> ModelScores | None:
        """Return the figures of one role, or None if no such model was scored."""
        return next((model for model in self.models if model.role == role), None)


class Delta(Record):
    """Candidate minus reference for one figure, paired over the same rows."""

    name: str  # "accuracy", "macro-F1", "F1 da", "external accuracy"
    candidate: FiniteFloat
    reference: FiniteFloat
    delta: Estimate
    p_value: Share
    p_adjusted: Share  # Holm over the labels; equal to p_value elsewhere
    standard_error: FiniteFloat


class Flip(Record):
    """A test row on which exactly one of the two models is right."""

    row: str
    text: str
    label: str
    candidate: str
    candidate_probability: Share
    reference: str
    reference_probability: Share
    won: bool


class Comparison(Record):
    """Candidate against one other model."""

    reference: Literal["champion", "baseline"]
    reference_digest: Sha256
    rows: Count
    accuracy: Delta
    macro_f1: Delta
    labels: tuple[Delta, ...]
    external_accuracy: Delta | None
    latency_ratio: Estimate
    detectable_accuracy: FiniteFloat  # smallest change that these rows show with 80 % power
    detectable_macro_f1: FiniteFloat
    won: Count
    lost: Count
    flips: tuple[Flip, ...]  # most telling first


class Comparisons(Evidence):
    """build/comparison.json: the candidate against the champion (if there is one) and against the baseline."""

    bundle_digest: Sha256
    data_fingerprint: Sha256
    champion_state: Literal["none yet", "given"]
    champion: Comparison | None
    baseline: Comparison
