"""configs/batch.yaml: every number of batch scoring."""

from __future__ import annotations

from textgate.records import Above0, Count, Positive, Record


class Processes(Record):
    """How many processes score, for each kind of model; 0: one for each processor."""

    tfidf: Count
    transformer: Count
    ensemble: Count


class RayLimits(Record):
    """With --engine ray: how long is waited, and how often something may go wrong."""

    start_seconds: Above0
    answer_seconds: Above0
    deaths: Positive


class BatchConfig(Record):
    """The whole file."""

    window_rows: Positive
    window_bytes: Positive
    row_bytes: Positive
    commit_seconds: Above0
    processes: Processes
    ray: RayLimits
