"""The plain pattern: a FastAPI endpoint that calls the model, one request at a time. `plain_app.py KIND PORT`."""

# ruff: noqa: INP001, ANN201, D103 - what a tutorial shows

import sys

import uvicorn
from classify import KINDS
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = KINDS[sys.argv[1]]()


class Question(BaseModel):
    """One text."""

    text: str


@app.post("/predict")
async def predict(question: Question):
    return model([question.text])[0]


uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="warning")
