"""/explain explains the model that /predict asked for the same client, or the same request."""

import json
import uuid

import pytest
from tests.serve_process import ServeProcess, small_bundle

TEXT = {"text": "snow near a palm"}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return small_bundle(folder / "champion", 1), small_bundle(folder / "challenger", 2)


def started(folder, bundles, **split):
    usual = {"kind": "split", "share": 0.5, "by": "client"}
    return ServeProcess(folder, bundles[0], models={"challenger": str(bundles[1])}, split=usual | split)


def asked(service, path, request_id):
    """Return who answered, and with what."""
    status, _, body = service.post(path, TEXT, {"X-Request-ID": request_id})
    assert status == 200
    answer = json.loads(body)
    one = answer["predictions"][0] if path == "/predict" else answer
    return (
        answer["model_digest"],
        one["label"],
        {label: round(share, 9) for label, share in one["probabilities"].items()},
    )


def test_explain__by_request_the_model_that_answered_under_the_same_id_is_explained(tmp_path, bundles):
    with started(tmp_path, bundles, by="request") as service:
        ids = [str(uuid.UUID(int=number)) for number in range(12)]
        answers = [asked(service, "/predict", one) for one in ids]
        assert len({digest for digest, *_ in answers}) == 2  # both answer
        assert [asked(service, "/explain", one) for one in ids] == answers
        variants = [json.loads(line)["event"] for path in (tmp_path / "audit").rglob("*.jsonl") for line in path.open()]
        told = {(event["endpoint"], event["variant"]) for event in variants if "endpoint" in event}
        assert told == {(path, who) for path in ("predict", "explain") for who in ("champion", "challenger")}


def test_explain__a_client_of_the_challenger_gets_the_challenger_explained(tmp_path, bundles):
    with started(tmp_path, bundles, share=1.0) as service:
        digest = asked(service, "/predict", str(uuid.uuid4()))[0]
        assert asked(service, "/explain", str(uuid.uuid4()))[0] == digest
        assert digest == json.loads(service.get("/version")[2])["models"]["challenger"]["digest"]


def test_explain__a_challenger_that_is_asked_unseen_is_not_shown(tmp_path, bundles):
    with started(tmp_path, bundles, kind="shadow", share=1.0) as service:
        champion = json.loads(service.get("/version")[2])["model_digest"]
        assert asked(service, "/explain", str(uuid.uuid4()))[0] == champion
