"""The description of the service for machines and their programmers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from textgate.serve.answers import Answer, Explained
from textgate.serve.predict import Answering
from textgate.serve.problems import MEDIA_TYPE

TITLE = "textgate"
DESCRIPTION = """Asks a released text classifier. Every error is a problem document (RFC 9457); its `instance`, and the
header `X-Request-ID` of every answer, name the request as the logs do."""
EVERYWHERE = {
    400: "Not a valid HTTP request",
    408: "Header or body took too long to arrive",
    413: "The body is too large",
    431: "The header is too large",
    500: "The service failed",
    503: "Busy, stopping, or not able to record the answer: ask again after Retry-After seconds",
}
ASKED = {415: "The body is not application/json, or compressed", 422: "The body is not what is described here"}
GUARDED = {
    401: "Credentials are missing or not valid",
    403: "The client lacks the scope",
    429: "Too many requests from this client: ask again after Retry-After seconds",
}
PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "what the status means"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "one sentence about this request"},
        "instance": {"type": "string", "format": "uri", "description": "urn:uuid: and the request id"},
    },
    "required": ["type", "title", "status", "detail", "instance"],
    "additionalProperties": False,
}


EXAMPLE = {
    "request_id": "3c2f1a52-7f0e-4a3b-9a42-0d1c5f6a7b8e",
    "model_version": "v0.1.0",
    "model_digest": "0" * 64,
    "predictions": [{"label": "da", "probabilities": {"da": 0.93, "nb": 0.06, "sv": 0.01}, "model_digest": "0" * 64}],
}
REQUEST_ID = {"description": "Names the request in logs and audit log", "schema": {"type": "string", "format": "uuid"}}
RETRY_AFTER = {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}


def of(path: str, answering: Answering) -> dict[str, Any]:
    """Return what FastAPI is told about one of the two endpoints that ask a model."""
    if path == "/predict":
        return {
            "tags": ["ask"],
            "summary": "Classify one text, or several",
            "description": "Label and probabilities of each text. A request may bring its own X-Request-ID, a UUID.",
            "response_model": Answer,
            "responses": {200: {"content": {"application/json": {"example": EXAMPLE}}}},
            "openapi_extra": {"requestBody": answering.predict_reader.described()},
        }
    return {
        "tags": ["ask"],
        "summary": "Say what each word of a text adds to its label",
        "description": "Shapley values of the words; the model is asked many times, so fewer are served at once.",
        "response_model": Explained,
        "openapi_extra": {"requestBody": answering.explain_reader.described()},
    }


def complete(app: FastAPI) -> None:
    """Add to the description what every endpoint may answer."""
    made = app.openapi()
    made["components"]["schemas"]["Problem"] = PROBLEM
    for path, methods in made["paths"].items():
        for operation in methods.values():
            found = operation["responses"]
            for status, meaning in _statuses(path).items():
                described = found.setdefault(str(status), {"description": meaning})
                described["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            for status, described in found.items():
                described["headers"] = {"X-Request-ID": REQUEST_ID}
                if status in ("429", "503"):
                    described["headers"]["Retry-After"] = RETRY_AFTER


def _statuses(path: str) -> dict[int, str]:
    asks = path in ("/predict", "/explain")
    closed = {404: "This service does not explain"} if path == "/explain" else {}
    return EVERYWHERE | closed | (ASKED if asks else {}) | (GUARDED if asks or path == "/metrics" else {})
