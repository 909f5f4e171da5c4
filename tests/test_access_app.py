"""The whole service as a process, with each way to be let in: the same attacks meet the same answer."""

import json

import pytest
from tests.access_attacks import ATTACKS, WITH_WEAK
from tests.access_server import RSA, ask, bearer, jwt_config, token
from tests.serve_process import START_SECONDS, ServeProcess, small_bundle, until

from textgate.serve.access import manage

JSON = ("Content-Type", "application/json")
ASKED = '{"text": "some words"}'
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_bundle(tmp_path_factory.mktemp("access") / "model")


@pytest.fixture(scope="module")
def tokens(model, tmp_path_factory):
    """Return the service that takes tokens of an issuer."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "jwks.json").write_text(WITH_WEAK)
    clients = json.loads(jwt_config(folder / "jwks.json").model_dump_json())
    with ServeProcess(folder, model, access={"clients": clients, "metrics": "admin", "explain": "explain"}) as service:
        yield service


def predicted(service, *headers):
    return ask(service.address[1], "/predict", JSON, *headers, method="POST", body=ASKED)


def without_ids(answer):
    """Return (status, challenge, document) without what names this one request."""
    document = json.loads(answer.body)
    assert document.pop("instance").endswith(answer.headers["x-request-id"])
    return answer.status, answer.headers["www-authenticate"], document


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
def test_service__every_attack_on_tokens_gets_one_401_and_no_trace_of_the_token_is_left(tokens):
    shown = {name: attack() for name, (_, attack) in ATTACKS.items()}
    none = without_ids(predicted(tokens))
    assert none == (401, 'Bearer realm="textgate"', {
        "type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "Valid credentials are needed.",
    })  # fmt: skip
    for name, one in shown.items():
        assert (name, without_ids(predicted(tokens, bearer(one)))) == (name, none)
    last = predicted(tokens, bearer(token()), bearer(token()))
    assert without_ids(last) == none
    until(lambda: last.headers["x-request-id"] in [line["request_id"] for line in tokens.log() if "status" in line])
    log = tokens.text()
    parts = [part for one in shown.values() for part in one.split(".") if len(part) > 20]
    assert not [part for part in parts if part in log]
    for reason, _ in ATTACKS.values():
        assert f"not let in: {reason}, from 127.0.0.1" in log
    answers, reasons = [
        {line["request_id"] for line in tokens.log() if line.get(key) == value}
        for key, value in (("status", 401), ("level", "warning"))
    ]
    assert answers == reasons


def test_service__scopes_open_endpoints_and_the_client_stands_in_log_and_audit(tokens):
    good = predicted(tokens, bearer(token()))
    assert good.status == 200
    port = tokens.address[1]
    explained = ask(port, "/explain", JSON, bearer(token()), method="POST", body=ASKED)
    assert (explained.status, json.loads(explained.body)["detail"]) == (403, "This needs the scope explain.")
    assert ask(port, "/explain", JSON, bearer(token(scope="explain")), method="POST", body=ASKED).status == 200
    assert [ask(port, "/metrics", bearer(token(scope=scope))).status for scope in ("predict", "admin")] == [403, 200]
    assert [ask(port, path).status for path in ("/health", "/ready", "/version", "/", "/metrics")] == [200] * 4 + [401]
    (line,) = [line for line in tokens.log() if line.get("request_id") == good.headers["x-request-id"]]
    assert line["client"] == "ada"
    recorded = "".join(path.read_text() for path in (tokens.folder / "audit").rglob("*.jsonl"))
    assert '"client":"ada"' in recorded.replace(": ", ":")


def test_service__keys_and_rate_limits(model, tmp_path):
    file = tmp_path / "keys.json"
    ada, eve = (manage.make(file, name, ("predict",), 90) for name in ("ada", "eve"))
    access = {
        "clients": {"kind": "keys", "file": str(file)}, "metrics": "open",
        "rate": {"per_second": 0.01, "burst": 3, "clients": 10},
    }  # fmt: skip
    with ServeProcess(tmp_path / "service", model, access=access) as service:
        assert [predicted(service, ("X-API-Key", ada)).status for _ in range(4)] == [200, 200, 200, 429]
        late = predicted(service, ("X-API-Key", ada))
        seconds = int(late.headers["retry-after"])
        assert 80 < seconds <= 100  # less what the questions took
        assert late.headers["ratelimit"] == f'"client";r=0;t={seconds}'
        assert late.headers["content-type"] == "application/problem+json"
        manage.revoke(file, eve.split("_")[1])
        assert without_ids(predicted(service, ("X-API-Key", eve))) == without_ids(predicted(service))
        port = service.address[1]
        figures = ask(port, "/metrics").body
        assert 'textgate_rejected_total{reason="rate"} 2.0' in figures
        assert 'textgate_rejected_total{reason="access"} 2.0' in figures
        assert not any(part in service.text() + figures for part in (ada[16:], eve[16:]))


def test_service__demo_from_password_to_answer_and_its_schema_names_the_way(model, tmp_path):
    file = tmp_path / "users.json"
    manage.set_password(file, "ada", PASSWORD, ("predict",))
    tries = {"per_second": 0.1, "burst": 5, "clients": 10}
    access = {"clients": {"kind": "demo", "file": str(file), "token_minutes": 15, "tries": tries}}
    with ServeProcess(tmp_path / "service", model, access=access) as service:
        port = service.address[1]
        form = ("Content-Type", "application/x-www-form-urlencoded")
        body = f"grant_type=password&username=ada&password={PASSWORD.replace(' ', '+')}"
        said = json.loads(ask(port, "/token", form, method="POST", body=body).body)
        assert predicted(service, bearer(said["access_token"])).status == 200
        assert predicted(service, bearer(token(RSA))).status == 401
        wrong = ask(port, "/token", form, method="POST", body=body + "x")
        assert (wrong.status, json.loads(wrong.body)) == (400, {"error": "invalid_grant"})
        schemes = json.loads(ask(port, "/openapi.json").body)["components"]["securitySchemes"]
        assert schemes["OAuth2PasswordBearer"]["flows"]["password"]["tokenUrl"] == "token"
        assert not any(part in service.text() for part in (PASSWORD, "horse", said["access_token"]))


def test_service__a_demo_that_others_could_reach_does_not_start(model, tmp_path):
    clients = {"kind": "demo", "file": "none.json", "token_minutes": 15}
    clients["tries"] = {"per_second": 0.1, "burst": 5, "clients": 10}
    service = ServeProcess(
        tmp_path / "service", model, wait=False, access={"clients": clients}, listen={"host": "0.0.0.0"}
    )
    with service:
        assert service.process.wait(START_SECONDS) == 1
        assert "passwords would cross the network: listen on 127.0.0.1" in service.text()
        assert "Traceback" not in service.text()
