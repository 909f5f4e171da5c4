"""BentoML with its batching: `bentoml serve bento_app:Classifier`; settings: BENCH_KIND, _BATCH, _WAIT_MS, _WORKERS."""

# ruff: noqa: INP001, ANN204, D102, D107 - as its documentation shows it

import os

import bentoml
from classify import KINDS, THREADS, Onnx

KIND = os.environ["BENCH_KIND"]
BATCH, WAIT_MS, WORKERS = (int(os.environ[f"BENCH_{name}"]) for name in ("BATCH", "WAIT_MS", "WORKERS"))


@bentoml.service(
    workers=WORKERS, traffic={"timeout": 30}, metrics={"enabled": False}, logging={"access": {"enabled": False}}
)
class Classifier:
    """A batchable endpoint takes a list of texts from each client and joins the lists."""

    def __init__(self):
        self.model = Onnx(max(1, THREADS // WORKERS)) if KIND == "onnx" else KINDS[KIND]()

    @bentoml.api(route="/predict", batchable=True, max_batch_size=BATCH, max_latency_ms=WAIT_MS)
    def predict(self, texts: list[str]) -> list[dict]:
        return self.model(texts)
