"""What the A/B report found: the types of build/ab.json."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat

from textgate.evidence import Estimate
from textgate.records import Count, Evidence, Record, Sha256, Share

Verdict = Literal["better", "not worse", "worse", "cannot tell"]


class Model(Record):
    """One of the two, and the texts that it answered."""

    version: str
    digest: Sha256
    groups: Count  # clients or requests
    rows: Count  # texts
    mean_confidence: Share
    confidence: tuple[Count, ...]  # texts with a confidence up to 0.1, 0.2, … 1


class Mix(Record):
    """Whether the challenger got the share of the clients, or requests, that it should have got."""

    champion: Count
    challenger: Count
    both: Count  # clients that were answered by both: the split was changed, or does not stick
    expected_share: Share
    p_value: Share | None  # None: too few to tell
    holds: bool


class LabelShare(Record):
    """How often each says a label, and challenger minus champion."""

    label: str
    champion: Estimate
    challenger: Estimate
    change: Estimate


class Truth(Record):
    """What became of the labels that were given."""

    given: Count
    used: Count
    unmatched: Count  # of no text that is compared here
    unknown: tuple[str, ...]  # labels that no model ever gave: perhaps misspelt


class Accuracy(Record):
    """Both models against the labels that were given."""

    champion_rows: Count
    challenger_rows: Count
    champion: Estimate
    challenger: Estimate
    change: Estimate  # for who looks once, at a number of rows that was fixed before
    change_any_time: Estimate  # however often one looks
    won: Count | None  # texts that the challenger alone has right; None where the two answered different texts
    lost: Count | None


class Needed(Record):
    """How many labelled texts, of both models together, would answer a question four times out of five."""

    question: str
    rows: Count | None  # None: no practical number
    rows_any_time: Count | None
    there: Count


class Compared(Record):
    """One challenger against one champion."""

    mode: Literal["split", "shadow"]
    group: Literal["client", "request"]  # what is counted as independent
    first: str
    last: str
    champion: Model
    challenger: Model
    agreement: Estimate | None  # shadow: share of the texts that both give the same label
    unpaired: Count  # shadow: answers of the challenger beside which no champion's was found
    mix: Mix | None  # split
    labels: tuple[LabelShare, ...]
    truth: Truth | None
    accuracy: Accuracy | None
    needed: tuple[Needed, ...]
    verdict: Verdict
    reason: str


class AbReport(Evidence):
    """build/ab.json."""

    log: str
    margin: FiniteFloat  # of accuracy, from configs/gates.yaml
    compared: tuple[Compared, ...]
