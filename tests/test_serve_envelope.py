"""What becomes of a defect behind the envelope: the inner app is the defect, the envelope is the real one."""

import asyncio
import io
import json
import logging

import pytest
from tests.project import EXAMPLE

from textgate.config import load
from textgate.serve.envelope import Envelope
from textgate.serve.lifespan import Lifespan
from textgate.serve.logs import JsonLines
from textgate.serve.ready_made import TurnAway
from textgate.serve.settings import ServeConfig

SECRET = "what the client wrote"


@pytest.fixture
def log():
    """Return what the log says, line by line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("textgate")
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


async def nothing():
    """Do nothing."""


def asked(app):
    """Ask an app in the envelope; return what it sends."""
    config, life = load(EXAMPLE / "serve.yaml", ServeConfig), Lifespan(nothing, nothing, notice_seconds=1)
    envelope = Envelope(app, config, {"/x"}, {}, life, TurnAway(lambda *_: None))
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "client": ("192.0.2.1", 9), "state": {}}
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(envelope(scope, receive, send))
    return sent


def test_defect__is_a_500_that_says_nothing_and_a_line_that_says_where(log):
    async def app(scope, receive, send):
        raise ValueError(SECRET)

    start, body = asked(app)
    document = json.loads(body["body"])
    assert (start["status"], document["status"], document["title"]) == (500, 500, "Internal Server Error")
    (line,) = [line for line in log() if line["level"] == "error"]
    assert (line["message"], line["error"]) == ("a defect in textgate", "ValueError")
    assert document["instance"] == f"urn:uuid:{line['request_id']}"
    assert line["at"][-1].startswith(f"{__file__}:")
    assert SECRET not in json.dumps([log(), document])


def test_defect__in_the_middle_of_an_answer_is_no_second_answer(log):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError(SECRET)

    assert [message["type"] for message in asked(app)] == ["http.response.start"]
    assert "error" in {line["level"] for line in log()}


def test_envelope__keeps_a_policy_that_an_answer_brings(log):
    async def app(scope, receive, send):
        policy = (b"content-security-policy", b"default-src 'self'")
        await send({"type": "http.response.start", "status": 200, "headers": [policy]})
        await send({"type": "http.response.body", "body": b""})

    headers = asked(app)[0]["headers"]
    assert [value for name, value in headers if name == b"content-security-policy"] == [b"default-src 'self'"]
