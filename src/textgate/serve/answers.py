"""What the service says when all is well, as types that OpenAPI shows and that write themselves as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from textgate.prediction import Prediction
from textgate.records import Record, Sha256
from textgate.serve.explain import Explanation


class Answer(Record):
    """One prediction for each text, in the order of the question."""

    request_id: str
    model_version: str
    model_digest: Sha256
    predictions: tuple[Prediction, ...]


class Explained(Explanation):
    """What each part of the text adds to the probability of each label."""

    request_id: str
    model_version: str
    model_digest: Sha256


class State(Record):
    """How the process is."""

    status: Literal["alive", "ready"]


class Loaded(Record):
    """One model that is loaded."""

    version: str
    digest: Sha256
    kind: str
    labels: tuple[str, ...]


class Version(Record):
    """The champion's version and digest, and all that is loaded."""

    model_version: str
    model_digest: Sha256
    models: dict[str, Loaded]


def as_json(answer: BaseModel) -> bytes:
    """Return the JSON of an answer, written once by pydantic's core."""
    return answer.__pydantic_serializer__.to_json(answer)
