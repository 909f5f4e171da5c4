"""A plain FastAPI endpoint around textgate's own classifier: no queue, no audit log.

`unbatched_app.py FOLDER PORT thread|loop`: in a thread, as FastAPI's documentation has it for what blocks, or on the
event loop, where nobody else is heard meanwhile.
"""

# ruff: noqa: INP001, D103 - what a tutorial shows

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from textgate.models.classifier import open_bundle
from textgate.prediction import Prediction, prediction

app = FastAPI()
bundle = open_bundle(Path(sys.argv[1]))


class Question(BaseModel):
    """One text."""

    text: str


def predict(question: Question) -> Prediction:
    (row,) = bundle.classifier.predict_proba([question.text])
    return prediction(row, bundle.manifest.labels, bundle.digest)


async def predict_on_the_loop(question: Question) -> Prediction:
    return predict(question)


app.post("/predict")(predict if sys.argv[3] == "thread" else predict_on_the_loop)

uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="warning")
