"""The service over HTTP: what it answers, what it says about itself, and what it writes down."""

import gzip
import hashlib
import http.client
import json
import re
import uuid

import jsonschema
import pytest
from tests.serve_process import ServeProcess, small_bundle

from textgate.bundle import digest
from textgate.models.classifier import open_bundle
from textgate.prediction import schema

NORTH, SOUTH = "snow near the old fjord", "a dune and many camel people"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return small_bundle(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="module")
def service(tmp_path_factory, bundle):
    with ServeProcess(tmp_path_factory.mktemp("serve"), bundle, limits={"characters": 200, "texts": 3}) as process:
        yield process


@pytest.fixture(scope="module")
def closed(tmp_path_factory, bundle):
    """Serve behind a proxy, and explain to nobody."""
    listen, access = {"proxies": ["127.0.0.1"]}, {"explain": "closed"}
    with ServeProcess(tmp_path_factory.mktemp("closed"), bundle, listen=listen, access=access) as process:
        yield process


def problem(answer, status):
    found, headers, body = answer
    document = json.loads(body)
    assert (found, headers["Content-Type"], document["status"]) == (status, PROBLEM, status)
    assert document["instance"] == f"urn:uuid:{headers['X-Request-ID']}"
    return document["detail"]


def test_predict__one_text_gets_the_models_answer_in_the_promised_form(service, bundle):
    status, answer = service.predict(NORTH)
    row = open_bundle(bundle).classifier.predict_proba([NORTH])[0]
    (one,) = answer["predictions"]
    jsonschema.validate(one, schema())
    assert (status, answer["model_version"], answer["model_digest"]) == (200, "unreleased", digest(bundle))
    assert one["label"] == "north"
    assert list(one["probabilities"].values()) == pytest.approx(row.tolist())


def test_predict__several_texts_are_answered_in_their_order(service):
    _, _, body = service.post("/predict", {"texts": [SOUTH, NORTH, SOUTH]})
    assert [one["label"] for one in json.loads(body)["predictions"]] == ["south", "north", "south"]


def test_predict__an_empty_text_is_a_text(service):
    assert service.predict("")[0] == 200


def test_predict__a_texts_nul_and_emoji_are_no_trouble(service):
    assert service.predict("a\x00b 👩‍👩‍👧‍👦")[0] == 200


def test_request_id__a_plain_uuid_is_kept_and_anything_else_is_replaced(service):
    mine = str(uuid.uuid4())
    status, answer = service.predict(NORTH, **{"X-Request-ID": mine})
    assert (status, answer["request_id"]) == (200, mine)
    given = []
    for other in ("1", mine.upper(), f"{{{mine}}}", f"{mine} "[1:], '"},{"x":"', "x" * 5000):
        _, answer = service.predict(NORTH, **{"X-Request-ID": other})
        assert answer["request_id"] != other
        given.append(uuid.UUID(answer["request_id"]))
        assert (str(given[-1]), given[-1].version) == (answer["request_id"], 4)
    assert len(set(given)) == len(given)


def test_answers__carry_security_headers_and_do_not_name_the_server(service):
    for path in ("/health", "/nowhere"):
        _, headers, _ = service.get(path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] is None


def test_answers__are_the_same_written_at_once_and_by_uvicorn(service):
    asked = b"%b /nowhere HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    heads, bodies = [], []
    for method in (b"GET", b"HEAD"):  # an answer to HEAD is left to uvicorn
        head, _, body = service.raw(asked % method).partition(b"\r\n\r\n")
        status, *lines = re.sub(rb"[0-9a-f-]{36}|\d\d:\d\d:\d\d", b"", head).split(b"\r\n")
        heads.append((status, sorted(lines)))
        bodies.append(body)
    assert heads[0] == heads[1]
    assert {b"connection: close", b"content-type: application/problem+json"} < set(heads[0][1])
    assert any(line.startswith(b"date: ") for line in heads[0][1])
    assert json.loads(bodies[0])["status"] == 404
    assert bodies[1] == b""


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"text": 1}, "text: Input should be a valid string"),
        ({"text": None}, "text: Input should be a valid string"),
        ({"texts": "a"}, "texts: Input should be a valid array"),
        ({"texts": []}, "texts: List should have at least 1 item after validation, not 0"),
        ({"texts": ["a", 2]}, "texts.1: Input should be a valid string"),
        ({"texts": ["a"] * 4}, "texts: List should have at most 3 items after validation, not 4"),
        ({"text": "x" * 201}, "text: String should have at most 200 characters"),
        ({"text": "a", "texts": ["b"]}, "Send either text or texts."),
        ({}, "Send either text or texts."),
        ({"text": "a", "SECRET": 1}, "There is an unknown key (known: text and texts)."),
        ({"text": 1} | dict.fromkeys(map(str, range(50_000))), "There is an unknown key (known: text and texts)."),
        ([], "Input should be an object"),
        (b"", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"text": NaN}', "text: Input should be a valid string"),
        (b'{"text": "\\ud800"}', "Invalid JSON: unexpected end of hex escape at line 1 column 17"),
    ],
)
def test_predict__what_is_wrong_is_said(service, body, detail):
    assert problem(service.post("/predict", body), 422) == detail


def test_predict__a_wrong_body_is_never_quoted_in_answer_or_log(service):
    for body in ({"text": ["SECRET"]}, {"SECRET": "SECRET"}, {"texts": ["a", {"SECRET": 1}]}, b'{"text": SECRET}'):
        assert "SECRET" not in problem(service.post("/predict", body), 422)
    service.predict("SECRET text")
    assert "SECRET" not in service.text()


def test_predict__only_json_is_taken(service):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        answer = service.post("/predict", {"text": NORTH}, {"Content-Type": kind})
        assert problem(answer, 415) == "Send the body as application/json."
    assert service.post("/predict", {"text": NORTH}, {"Content-Type": "Application/JSON; charset=utf-8"})[0] == 200


def test_predict__a_compressed_body_is_told_so(service):
    packed = service.post("/predict", gzip.compress(b'{"text": "snow"}'), {"Content-Encoding": "gzip"})
    assert problem(packed, 415) == "Send the body as it is, not compressed."
    assert packed[1]["Accept-Encoding"] == "identity"


def test_unknown_addresses_and_methods__are_problems(service):
    assert problem(service.get("/nowhere"), 404) == "There is nothing at this address."
    answer = service.get("/predict")
    assert problem(answer, 405) == "This address does not take this method."
    assert answer[1]["Allow"] == "POST"


def test_health_ready_version__say_how_it_is(service, bundle):
    assert json.loads(service.get("/health")[2]) == {"status": "alive"}
    assert json.loads(service.get("/ready")[2]) == {"status": "ready"}
    version = json.loads(service.get("/version")[2])
    champion = {"version": "unreleased", "digest": digest(bundle), "kind": "tfidf", "labels": ["north", "south"]}
    assert version == {"model_version": "unreleased", "model_digest": digest(bundle), "models": {"champion": champion}}


def test_explain__names_the_words_and_is_recorded(service):
    status, headers, body = service.post("/explain", {"text": NORTH})
    found = json.loads(body)
    assert (status, found["label"], found["request_id"]) == (200, "north", headers["X-Request-ID"])
    assert "".join(part["text"] for part in found["parts"]) == NORTH.replace(" ", "")
    assert recorded(service, found["request_id"])[0]["endpoint"] == "explain"
    assert problem(service.post("/explain", {"texts": [NORTH]}), 422) == "There is an unknown key (known: text)."


def recorded(service, request_id):
    lines = (service.folder / "audit").rglob("*.jsonl")
    events = [json.loads(line)["event"] for path in lines for line in path.read_text().splitlines()]
    return [event for event in events if event.get("request_id") == request_id]


def test_audit__says_who_was_told_what_but_not_the_text(service):
    _, answer = service.predict(NORTH)
    (event,) = recorded(service, answer["request_id"])
    one = answer["predictions"][0]
    assert event["text_sha256"] == hashlib.sha256(NORTH.encode()).hexdigest()
    assert (event["label"], event["confidence"]) == (one["label"], one["probabilities"][one["label"]])
    assert (event["client"], event["variant"], event["shadow"]) == ("127.0.0.1", "champion", False)
    assert (event["characters"], event["words"], event["text"]) == (len(NORTH), 5, None)


def test_audit__has_a_line_for_each_text_in_their_order(service):
    _, headers, _ = service.post("/predict", {"texts": [SOUTH, NORTH]})
    events = recorded(service, headers["X-Request-ID"])
    said = [(event["number"], event["label"], event["text_sha256"]) for event in events]
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in (SOUTH, NORTH)]
    assert said == [(0, "south", hashes[0]), (1, "north", hashes[1])]


def test_log__has_one_json_line_a_request(service):
    _, answer = service.predict(NORTH)
    service.get("/nowhere?key=SECRET")
    service.get("/health")  # one process does one thing after the other, so the lines before are written
    (line,) = [line for line in service.log() if line.get("request_id") == answer["request_id"]]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line.pop("ms") > 0
    assert line == {
        "level": "info", "request_id": answer["request_id"], "client": "127.0.0.1", "endpoint": "/predict",
        "status": 200, "version": "unreleased",
    }  # fmt: skip
    assert [one for one in service.log() if one.get("endpoint") != "/health"][-1]["endpoint"] == "other"
    assert "nowhere" not in service.text()


def test_metrics__count_requests_predictions_and_refusals(service):
    names = {
        "answers": ("textgate_requests_total", {"endpoint": "/predict", "status": "200"}),
        "times": ("textgate_request_seconds_count", {"endpoint": "/predict"}),
        "bad": ("textgate_rejected_total", {"reason": "bad"}),
        "north": ("textgate_predictions_total", {"label": "north", "variant": "champion"}),
        "sure": ("textgate_confidence_count", {"variant": "champion"}),
        "model": ("textgate_model_seconds_count", {"variant": "champion"}),
        "characters": ("textgate_text_characters_sum", {}),
        "unknown": ("textgate_unknown_share_count", {}),
    }
    before = {key: service.metric(name, **labels) for key, (name, labels) in names.items()}
    service.post("/predict", {"texts": [NORTH, SOUTH]})
    service.post("/predict", {"texts": 1})
    grown = {key: service.metric(name, **labels) - before[key] for key, (name, labels) in names.items()}
    texts = len(NORTH) + len(SOUTH)
    assert grown == {
        "answers": 1, "times": 2, "bad": 1, "north": 1, "sure": 2, "model": 1, "characters": texts, "unknown": 2,
    }  # fmt: skip
    assert service.metric("process_resident_memory_bytes") > 0


def test_metrics__an_unknown_address_is_no_label_of_its_own(service):
    for number in range(5):
        service.get(f"/nowhere/{number}")
    assert "nowhere" not in service.get("/metrics")[2].decode()
    assert service.metric("textgate_requests_total", endpoint="other", status="404") >= 5


def test_connection__is_kept_for_the_next_request(service):
    connection = http.client.HTTPConnection(*service.address)
    for body in ('{"text": "snow"}', '{"text": 1}', '{"text": "dune"}'):
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        own = connection.sock.getsockname()
        assert connection.sock is not None
    assert connection.sock.getsockname() == own
    connection.close()


def test_explain__may_be_closed(closed):
    assert problem(closed.post("/explain", {"text": NORTH}), 404) == "This service does not explain."
    assert closed.predict(NORTH)[0] == 200


def test_proxy__says_who_asks_if_it_is_believed(service, closed):
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    assert recorded(service, service.predict(NORTH, **forwarded)[1]["request_id"])[0]["client"] == "127.0.0.1"
    event = recorded(closed, closed.predict(NORTH, **forwarded)[1]["request_id"])[0]
    assert event["client"] == "203.0.113.7"


def test_proxy__that_passes_on_what_is_no_address_fills_no_log(closed):
    _, headers, _ = closed.get("/version", {"X-Forwarded-For": "x" * 20_000})
    closed.get("/health")  # one process does one thing after the other, so the line before is written
    (line,) = [line for line in closed.log() if line.get("request_id") == headers["X-Request-ID"]]
    assert line["client"] == "unknown"
