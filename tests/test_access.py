"""What the section `access` opens and closes, over a real socket."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from tests.access_server import ALL, app, ask, bearer, behind, config, jwt_config, serving, token
from tests.project import EXAMPLE

from textgate.config import load
from textgate.errors import CannotTell
from textgate.serve.access.access import Access
from textgate.serve.access.client import address_of
from textgate.serve.access.settings import AccessConfig

ROOT = Path(__file__).resolve().parent.parent
RATE = {"per_second": 0.01, "burst": 2, "clients": 10}
PATHS = ("/predict", "/explain", "/metrics")


@pytest.fixture
def issuer(tmp_path):
    """Return access.clients for tokens."""
    path = tmp_path / "jwks.json"
    path.write_text(ALL)
    return jwt_config(path)


def statuses(port, *headers):
    return [ask(port, path, *headers).status for path in PATHS]


def test_off__everybody_may_ask_everything_under_the_name_of_an_address():
    with behind() as port:
        assert statuses(port) == [200, 200, 200]
        assert ask(port).body == '"127.0.0.1"'


def test_off__an_address_has_one_bucket_whatever_it_says_about_itself():
    with behind(rate=RATE) as port:
        answers = [ask(port, "/predict", ("X-Forwarded-For", f"10.0.0.{n}"), ("X-API-Key", str(n))) for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    seconds = int(answers[2].headers["retry-after"])
    assert 80 < seconds <= 100  # less what the questions took
    assert json.loads(answers[2].body)["detail"] == f"Too many requests: ask again in {seconds} s."
    assert answers[2].headers["ratelimit-policy"] == '"client";q=2;w=200'


@pytest.mark.parametrize(("host", "name"), [
    ("10.0.0.7", "10.0.0.7"),
    ("::ffff:10.0.0.7", "10.0.0.7"),
    ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
    ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
    ("127.9.9.9", "127.0.0.1"),
    ("::1", "127.0.0.1"),
    ("", "unknown"),
    ("a.socket", "unknown"),
    ("fe80::1%" + "x" * 60, "unknown"),
])  # fmt: skip
def test_off__what_one_person_can_easily_change_does_not_make_another_client(host, name):
    assert address_of({"client": (host, 1)}) == name


def test_off__a_connection_without_an_address_has_a_name_too():
    assert address_of({"client": None}) == "unknown"


def test_closed__explains_to_nobody(issuer):
    with behind(clients=issuer, explain="closed") as port:
        answer = ask(port, "/explain", bearer(token(scope="predict explain admin")))
        assert (answer.status, json.loads(answer.body)["detail"]) == (404, "This service does not explain.")
        assert statuses(port, bearer(token())) == [200, 404, 200]


@pytest.mark.parametrize(("metrics", "explain", "scope", "expected"), [
    ("open", "open", None, [403, 403, 200]),
    ("open", "open", "predict", [200, 200, 200]),
    ("open", "open", "explain", [403, 403, 200]),
    ("open", "explain", "predict", [200, 403, 200]),
    ("admin", "explain", "explain", [403, 200, 403]),
    ("admin", "open", "admin", [403, 403, 200]),
])  # fmt: skip
def test_scopes__open_what_they_name_and_nothing_else(issuer, metrics, explain, scope, expected):
    with behind(clients=issuer, metrics=metrics, explain=explain) as port:
        assert statuses(port, bearer(token(scope=scope))) == expected
        assert statuses(port) == [401, 401, 200 if metrics == "open" else 401]


def test_rate__each_client_has_a_bucket_of_its_own_over_all_endpoints(issuer):
    with behind(clients=issuer, rate=RATE) as port:
        ada, eve = bearer(token()), bearer(token(sub="eve"))
        assert [ask(port, path, ada).status for path in ("/predict", "/explain", "/predict")] == [200, 200, 429]
        assert ask(port, "/predict", bearer(token(jti="another token of ada"))).status == 429
        assert ask(port, "/predict", eve).status == 200


def test_rate__who_is_not_let_in_takes_nothing_from_a_client(issuer):
    with behind(clients=issuer, rate=RATE) as port:
        assert {ask(port, "/predict", bearer(token(aud="other"))).status for _ in range(5)} == {401}
        assert ask(port, "/predict", bearer(token())).status == 200


def test_rate__open_metrics_are_seen_when_a_client_has_used_up_its_own(issuer):
    with behind(rate=RATE) as port:
        assert [ask(port).status for _ in range(3)][-1] == 429
        assert {ask(port, "/metrics").status for _ in range(5)} == {200}


@pytest.mark.parametrize("changes", [{"metrics": "admin"}, {"explain": "explain"}])
def test_settings__off_with_scopes_is_refused(changes):
    with pytest.raises(ValidationError, match=r"with clients\.kind off nobody has a scope"):
        config(**changes)


@pytest.mark.parametrize(
    "rate", [{"per_second": 0, "burst": 1, "clients": 1}, {"per_second": 1, "burst": 0, "clients": 1}]
)
def test_settings__a_rate_of_nothing_is_refused(rate):
    with pytest.raises(ValidationError):
        config(rate=rate)


def test_settings__keys_are_not_kept_for_a_shorter_time_than_they_are_used():
    with pytest.raises(ValidationError, match="keep_seconds must not be below refresh_seconds"):
        jwt_config("jwks.json", refresh_seconds=600, keep_seconds=599)


def test_access__a_missing_file_is_said_at_start(tmp_path):
    for kind, message in (("keys", "make keys with"), ("demo", "set a password with")):
        clients = {"kind": kind, "file": str(tmp_path / "none.json")}
        if kind == "demo":
            clients |= {"token_minutes": 15, "tries": RATE}
        with pytest.raises(CannotTell, match=rf"none\.json is missing: {message}"):
            Access(config(clients=clients))


SCHEMES = {
    "jwt": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "keys": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


@pytest.mark.parametrize("kind", ["jwt", "keys"])
def test_openapi__says_how_to_be_let_in(issuer, tmp_path, kind):
    (tmp_path / "keys.json").write_text('{"schema_version": 1, "keys": []}')
    clients = issuer if kind == "jwt" else {"kind": "keys", "file": str(tmp_path / "keys.json")}
    with behind(clients=clients) as port:
        said = json.loads(ask(port, "/openapi.json").body)
    ((name, scheme),) = said["components"]["securitySchemes"].items()
    assert scheme == SCHEMES[kind]
    assert list(said["paths"]["/predict"]["get"]["security"][0]) == [name]
    assert "security" not in said["paths"]["/metrics"]["get"]
    assert "parameters" not in said["paths"]["/predict"]["get"]


def test_openapi__off_says_nothing():
    with serving(app(Access(config()))) as port:
        assert "security" not in ask(port, "/openapi.json").body


def test_shipped__the_section_of_the_configuration_and_each_of_the_documentation_is_read(tmp_path):
    shipped = yaml.safe_load((EXAMPLE / "serve.yaml").read_text())["access"]
    blocks = (ROOT / "docs" / "access.md").read_text().split("```yaml\n")[1:]
    kinds = set()
    for number, section in enumerate([shipped, *(yaml.safe_load(block.split("```")[0])["access"] for block in blocks)]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(section))
        kinds.add(load(path, AccessConfig).clients.kind)
    assert kinds == {"off", "keys", "jwt", "demo"}
