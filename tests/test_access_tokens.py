"""Tokens over a real socket: who is let in, and every attack that must meet the same 401."""

import asyncio
import json
import random
import time

import jwt
import pytest
from tests.access_attacks import ATTACKS, WITH_WEAK
from tests.access_server import (
    ALL,
    AUDIENCE,
    EC,
    ED,
    ISSUER,
    OTHER,
    RSA,
    ask,
    bearer,
    behind,
    jwt_config,
    published,
    token,
)  # fmt: skip

from textgate.errors import CannotTell
from textgate.serve.access.client import Denied
from textgate.serve.access.jwks import FileKeys
from textgate.serve.access.tokens import Tokens, shown_token


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    jwks = tmp_path_factory.mktemp("issuer") / "jwks.json"
    jwks.write_text(WITH_WEAK)
    with behind(clients=jwt_config(jwks), explain="explain", metrics="admin") as made:
        yield made


@pytest.mark.parametrize(("key", "algorithm", "kid"), [
    (RSA, "RS256", "rsa"), (RSA, "PS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed"),
])  # fmt: skip
def test_token__of_the_issuer_is_let_in(port, key, algorithm, kid):
    answer = ask(port, "/predict", bearer(token(key, algorithm, kid)))
    assert (answer.status, answer.body) == (200, '"ada"')


GOOD = [
    pytest.param({"aud": ["other", AUDIENCE]}, id="one of several audiences"),
    pytest.param({"nbf": None}, id="no nbf, as many issuers"),
    pytest.param({"exp": "just now"}, id="ended within the leeway"),
    pytest.param({"scope": None, "scp": "predict explain"}, id="scp in words"),
    pytest.param({"scope": None, "scp": ["predict"]}, id="scp as a list"),
    pytest.param({"headers": {"typ": "at+jwt"}}, id="type of RFC 9068"),
    pytest.param({"headers": {"jku": "https://evil.example/"}}, id="a jku is not read"),
]


@pytest.mark.parametrize("changes", GOOD)
def test_token__in_the_forms_that_issuers_use(port, changes):
    if "exp" in changes:
        changes = {"exp": int(time.time()) - 1}
    assert ask(port, "/predict", bearer(token(**changes))).status == 200


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
@pytest.mark.parametrize(("reason", "attack"), ATTACKS.values(), ids=ATTACKS.keys())
def test_token__every_attack_gets_one_and_the_same_401_and_its_reason_in_our_log(port, caplog, reason, attack):
    answer = ask(port, "/predict", bearer(attack()))
    assert f"not let in: {reason}, from 127.0.0.1" in caplog.text
    assert answer == ask(port)  # as without any token
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="textgate"'
    assert json.loads(answer.body)["detail"] == "Valid credentials are needed."


HEADERS = {
    "two headers": lambda: [bearer(token()), bearer(token())],
    "a bad one and a good one": lambda: [("Authorization", "Basic YTpi"), bearer(token())],
    "two in one header": lambda: [("Authorization", f"Bearer {token()}, Bearer {token()}")],
    "wrong scheme": lambda: [("Authorization", f"Basic {token()}")],
    "no scheme": lambda: [("Authorization", token())],
    "scheme alone": lambda: [("Authorization", "Bearer")],
    "scheme and a space": lambda: [("Authorization", "Bearer ")],
    "empty": lambda: [("Authorization", "")],
    "a tab between": lambda: [("Authorization", f"Bearer\t{token()}")],
    "another header": lambda: [("X-API-Key", token())],
    "bytes that are no text": lambda: [("Authorization", b"Bearer \xff\xfe.\x80.\x81")],
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
def test_header__what_is_not_one_bearer_token_gets_the_same_401(port, headers):
    assert ask(port, "/predict", *headers()) == ask(port)


def test_header__a_token_in_the_address_is_not_read(port):
    assert ask(port, f"/predict?access_token={token()}").status == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_header__the_scheme_may_be_written_in_any_case(port, scheme):
    assert ask(port, "/predict", ("authorization", f"{scheme} {token()}")).status == 200


@pytest.mark.parametrize(("path", "needed"), [("/explain", "explain"), ("/metrics", "admin")])
def test_scope__a_missing_one_is_403_and_said(port, path, needed):
    answer = ask(port, path, bearer(token(scope="predict predictable")))
    assert answer.status == 403
    assert (
        answer.headers["www-authenticate"] == f'Bearer realm="textgate", error="insufficient_scope", scope="{needed}"'
    )
    assert json.loads(answer.body)["detail"] == f"This needs the scope {needed}."
    assert ask(port, path, bearer(token(scope=f"other {needed}"))).status == 200


@pytest.mark.parametrize("scope", [None, "", 7, {"predict": True}, "predict,explain", "PREDICT", [["predict"]]])
def test_scope__what_is_no_scope_gives_none(port, scope):
    assert ask(port, "/predict", bearer(token(scope=scope))).status == 403


def test_scope__admin_is_no_leave_to_predict(port):
    assert ask(port, "/predict", bearer(token(scope="admin"))).status == 403


def test_log__names_the_reason_and_nothing_of_the_token(port, caplog):
    shown = token(aud="other", jti="very-secret")
    with caplog.at_level("DEBUG"):
        ask(port, "/predict", bearer(shown))
        ask(port, "/predict", bearer(token(kid="very-secret")))
    assert "not let in: InvalidAudienceError, from 127.0.0.1" in caplog.text
    assert "not let in: unknown kid, from 127.0.0.1" in caplog.text
    assert not any(part in caplog.text for part in (*shown.split("."), "very-secret"))


def test_token__a_thousand_damaged_ones_are_denied_and_nothing_else_happens(tmp_path):
    (tmp_path / "jwks.json").write_text(ALL)
    said = jwt_config(tmp_path / "jwks.json")
    tokens = Tokens(ISSUER, AUDIENCE, said.algorithms, 10, FileKeys(said).find)
    chance, good = random.Random(1), [token(), token(EC, "ES256", "ec"), token(ED, "EdDSA", "ed")]
    letters = "ABCxyz019-_."

    async def damaged():
        for _ in range(1000):
            text = list(chance.choice(good))
            for _ in range(chance.randint(1, 4)):
                place = chance.randrange(len(text))
                text[place : place + chance.randint(0, 3)] = chance.choices(letters, k=chance.randint(0, 3))
            if "".join(text) in good:
                continue
            with pytest.raises(Denied):
                await tokens.client_of(shown_token("Bearer " + "".join(text)))
        for text in good:
            assert (await tokens.client_of(text)).name == "ada"

    asyncio.run(damaged())


@pytest.mark.parametrize(("content", "message"), [
    ("{", "not a JSON Web Key Set"),
    ("[]", "not a JSON Web Key Set"),
    ('{"keys": null}', "not a JSON Web Key Set"),
    ("[" * 100_000, "not a JSON Web Key Set"),
    ('{"keys": []}', "holds no key with a kid that suits the algorithms"),
    ('{"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}, {"kty": "oct", "kid": "b", "k": "AAAA", "alg": "RS256"}]}',
     "holds no key with a kid that suits the algorithms"),
    (published(("rsa", RSA), use="enc"), "holds no key with a kid that suits the algorithms"),
    (published(("rsa", RSA), alg="HS256"), "holds no key with a kid that suits the algorithms"),
    (published(("rsa", RSA), kid=5), "holds no key with a kid that suits the algorithms"),
    (published(("rsa", RSA), n=7), "holds no key with a kid that suits the algorithms"),
    (json.dumps({"keys": [jwt.algorithms.RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"kid": "rsa"}]}),
     "holds a private key: take it out of service, and publish public keys only"),
])  # fmt: skip
def test_keys__a_file_that_gives_none_is_refused_at_start(tmp_path, content, message):
    path = tmp_path / "jwks.json"
    path.write_text(content)
    with pytest.raises(CannotTell, match=f"jwks.json: {message}"):
        FileKeys(jwt_config(path))


def test_keys__a_missing_file_is_refused_at_start(tmp_path):
    with pytest.raises(CannotTell, match=r"none\.json is missing: save the issuer's key set there"):
        FileKeys(jwt_config(tmp_path / "none.json"))


def test_keys__a_key_that_says_its_algorithm_is_used_for_no_other(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(published(("rsa", RSA), alg="PS256"))
    with behind(clients=jwt_config(path)) as port:
        assert ask(port, "/predict", bearer(token(algorithm="PS256"))).status == 200
        assert ask(port, "/predict", bearer(token(algorithm="RS256"))).status == 401


def test_keys__a_changed_file_counts_at_the_next_request_and_a_broken_one_does_not(tmp_path, caplog):
    path = tmp_path / "jwks.json"
    path.write_text(ALL)
    with behind(clients=jwt_config(path)) as port:
        path.write_text(published(("rsa", OTHER)))
        assert [ask(port, "/predict", bearer(token(key))).status for key in (OTHER, RSA)] == [200, 401]
        path.write_text("{")
        assert [ask(port, "/predict", bearer(token(key))).status for key in (OTHER, RSA)] == [200, 401]
    assert f"{path}: not a JSON Web Key Set: what it said before stays in force" in caplog.text
