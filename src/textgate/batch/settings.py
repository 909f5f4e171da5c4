"""configs/batch.yaml: every number of batch scoring."""

from __future__ import annotations

from textgate.records import Above0, Count, Positive, Record


class Processes(Record):
    """How many processes score, for each kind of model; 0: one for each processor."""

    tfidf: Count
    transformer: Count
    ensemble: Count


class BatchConfig(Record):
    """The whole file."""

    window_rows: Positive
    window_bytes: Positive
    row_bytes: Positive
    commit_seconds: Above0
    processes: Processes
