"""POST /predict and POST /explain: the body is read, a model is asked, the answer is recorded and only then given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from textgate.prediction import Prediction
from textgate.serve.answers import Answer, Explained, as_json
from textgate.serve.ask import Reader
from textgate.serve.explain import Explainer
from textgate.serve.models import Answered, Models
from textgate.serve.problems import Problem
from textgate.serve.record import Recorder
from textgate.serve.settings import ServeConfig


class Answering:
    """The two endpoints that ask a model. Whoever asks has been let in: the scope's `state` says who it is."""

    def __init__(self, config: ServeConfig, models: Models, recorder: Recorder, explainer: Explainer) -> None:
        """Take the limits and what does the work."""
        self.predict_reader = Reader(config.limits.characters, config.limits.texts)
        self.explain_reader = Reader(config.explain.characters, None)
        self._by_client = config.split.by == "client"
        self._models, self._recorder, self._explainer = models, recorder, explainer

    async def predict(self, request: Request, body: bytes) -> bytes:
        """Answer one text or several. Raises Problem."""
        state = request.scope["state"]
        texts = _texts(self.predict_reader, request, body)
        said = await self._models.predict(texts, self._unit(state))
        state["version"] = said.version
        self._recorder.record(state["request_id"], state["client"].name, "predict", texts, said)
        answer = Answer(
            request_id=state["request_id"],
            model_version=said.version,
            model_digest=said.digest,
            predictions=said.predictions,
        )
        return as_json(answer)

    async def explain(self, request: Request, body: bytes) -> bytes:
        """Explain what the model that answers this client says about one text. Raises Problem."""
        state = request.scope["state"]
        (text,) = texts = _texts(self.explain_reader, request, body)
        variant, served = self._models.answering(self._unit(state))
        state["version"] = served.version
        bundle = served.bundle
        found = await self._explainer.explain(bundle, text)
        _, (unknown,) = await asyncio.to_thread(bundle.classifier.predict, texts)
        one = Prediction(label=found.label, probabilities=found.probabilities, model_digest=bundle.digest)
        said = Answered(variant, served.version, bundle.digest, (one,), (unknown,), seconds=None, shadow=None)
        self._recorder.record(state["request_id"], state["client"].name, "explain", texts, said)
        answer = Explained(
            request_id=state["request_id"],
            model_version=served.version,
            model_digest=bundle.digest,
            **dict(found),
        )
        return as_json(answer)

    def _unit(self, state: Mapping[str, Any]) -> str:
        """Return what the split hashes."""
        unit: str = state["client"].name if self._by_client else state["request_id"]
        return unit


def _texts(reader: Reader, request: Request, body: bytes) -> Sequence[str]:
    """Read the body; one that cannot be read because it is compressed is told so. Raises Problem."""
    try:
        return reader.read(request.headers.get("content-type", ""), body)
    except Problem:
        if request.headers.get("content-encoding", "identity").lower() == "identity":
            raise
        raise Problem(415, "Send the body as it is, not compressed.", {"Accept-Encoding": "identity"}) from None
