"""The section `audit` of configs/serve.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from textgate.records import NoNul, Record


class AuditConfig(Record):
    """Where the log lies, what it holds and how long it is kept."""

    folder: NoNul
    text: bool  # the texts themselves, not their hashes alone
    segment_mb: Annotated[int, Field(ge=1, le=1024)]  # in units of 2^20 bytes
    keep_days: Annotated[int, Field(ge=1, le=36_500)]  # a hundred years: for ever
