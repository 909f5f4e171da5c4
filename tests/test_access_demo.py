"""The demo's password grant: tokens for right passwords, on this machine only."""

import json
import subprocess
import sys
import time
from urllib.parse import urlencode

import jwt
import pytest
from tests.access_server import ask, bearer, behind, config
from tests.run_script import ROOT

from textgate.errors import CannotTell, Refused
from textgate.serve.access import manage
from textgate.serve.access.access import check_start
from textgate.serve.access.passwords import ADVISED, Scrypt, UserFile, new_user, read_users, user_of

CHEAP = Scrypt(n=1024, r=8, p=1)  # a hash in a millisecond
PASSWORD = "correct horse battery"
FORM = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.fixture
def demo(tmp_path):
    """Return access.clients of a demo with one user."""
    file = tmp_path / "users.json"
    users = (new_user("ada", PASSWORD, ("predict", "explain"), CHEAP),)
    file.write_text(UserFile(scrypt=CHEAP, users=users).model_dump_json())
    return {
        "kind": "demo", "file": str(file), "token_minutes": 15,
        "tries": {"per_second": 0.01, "burst": 20, "clients": 10},
    }  # fmt: skip


def asked(port, *headers, **fields):
    body = urlencode({"grant_type": "password", "username": "ada", "password": PASSWORD} | fields)
    return ask(port, "/token", *(headers or [FORM]), method="POST", body=body)


def test_token__for_a_password_lets_in_with_the_users_scopes(demo):
    with behind(clients=demo, metrics="admin", explain="explain") as port:
        answer = asked(port)
        said = json.loads(answer.body)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert {**said, "access_token": ""} == {
            "access_token": "", "token_type": "Bearer", "expires_in": 900, "scope": "predict explain",
        }  # fmt: skip
        assert ask(port, "/predict", bearer(said["access_token"])).body == '"ada"'
        assert ask(port, "/explain", bearer(said["access_token"])).status == 200
        assert ask(port, "/metrics", bearer(said["access_token"])).status == 403
        assert ask(port).headers["www-authenticate"] == 'Bearer realm="textgate"'


def test_token__may_hold_fewer_scopes_but_not_more(demo):
    with behind(clients=demo, explain="explain") as port:
        fewer = json.loads(asked(port, scope="predict").body)
        assert fewer["scope"] == "predict"
        assert ask(port, "/explain", bearer(fewer["access_token"])).status == 403
        more = asked(port, scope="predict admin")
        assert (more.status, json.loads(more.body)) == (400, {"error": "invalid_scope"})


def test_token__a_wrong_password_and_an_unknown_user_look_the_same(demo, caplog):
    with behind(clients=demo) as port, caplog.at_level("DEBUG"):
        wrong, unknown = asked(port, password=PASSWORD + "x"), asked(port, username="eve")
        assert (wrong.status, json.loads(wrong.body)) == (400, {"error": "invalid_grant"})
        assert wrong == unknown == asked(port, password="") == asked(port, password="a" * 7000)
        assert asked(port, username="nobody", password="").status == 400
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(("headers", "fields", "error"), [
    ([("Content-Type", "application/json")], {}, "invalid_request"),
    ([FORM], {"grant_type": "client_credentials"}, "unsupported_grant_type"),
])  # fmt: skip
def test_token__another_grant_or_form_is_refused(demo, headers, fields, error):
    with behind(clients=demo) as port:
        answer = asked(port, *headers, **fields)
    assert (answer.status, json.loads(answer.body)) == (400, {"error": error})


BODIES = {
    "empty": "",
    "no password": "grant_type=password&username=ada",
    "two passwords": f"grant_type=password&username=ada&password={PASSWORD}&password={PASSWORD}",
    "no UTF-8": "grant_type=password&username=ada&password=%ff",
    "not ASCII": "grant_type=password&username=ada&password=\u00e9",
    "many fields": "grant_type=password&username=ada&password=a&" + "&".join(f"a{n}=1" for n in range(20)),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_token__a_broken_form_is_refused(demo, body):
    with behind(clients=demo) as port:
        answer = ask(port, "/token", FORM, method="POST", body=body)
        assert (answer.status, json.loads(answer.body)) == (400, {"error": "invalid_request"})
        large = ask(port, "/token", FORM, method="POST", body="a=" + "b" * 8200)
        assert (large.status, json.loads(large.body)["detail"]) == (413, "A request for a token has up to 8192 bytes.")


def test_token__tries_of_an_address_are_limited_right_or_wrong(demo):
    demo |= {"tries": {"per_second": 0.01, "burst": 3, "clients": 10}}
    with behind(clients=demo) as port:
        assert [asked(port, password=word).status for word in ("a", "b", PASSWORD)] == [400, 400, 200]
        late = asked(port)
        assert (late.status, 80 < int(late.headers["retry-after"]) <= 100) == (429, True)  # less what the tries took
        assert late.headers["ratelimit"] == f'"client";r=0;t={late.headers["retry-after"]}'


def test_token__of_an_earlier_start_or_made_elsewhere_is_not_taken(demo):
    with behind(clients=demo) as port:
        earlier = json.loads(asked(port).body)["access_token"]
        said = jwt.decode(earlier, options={"verify_signature": False})
        assert 0 < said["exp"] - time.time() <= 900
    forged = jwt.encode(said, "secret" * 10, "HS256", {"kid": "demo"})
    with behind(clients=demo) as port:
        assert [ask(port, "/predict", bearer(shown)).status for shown in (earlier, forged)] == [401, 401]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_start__a_demo_on_this_machine_is_fine(demo, host):
    check_start(config(clients=demo), host, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "", "localhost.example", "127.0.0.1.example"])
def test_start__a_demo_that_others_can_reach_is_refused(demo, host):
    with pytest.raises(Refused, match=r"listen.host .*passwords would cross the network: listen on 127\.0\.0\.1"):
        check_start(config(clients=demo), host, 1)
    check_start(config(), host, 4)  # without the demo it may


def test_start__a_demo_with_several_workers_is_refused(demo):
    with pytest.raises(Refused, match="each worker has a key of its own: take 1"):
        check_start(config(clients=demo), "127.0.0.1", 2)


def test_user_of__an_unknown_name_costs_as_much_cpu_as_a_wrong_password():
    file = UserFile(scrypt=ADVISED, users=(new_user("ada", PASSWORD, ("predict",), ADVISED),))
    spent = []
    for name in ("ada", "eve"):
        started = time.thread_time()
        assert user_of(file, name, "a wrong password") is None
        spent.append(time.thread_time() - started)
    assert 0.2 < spent[0] / spent[1] < 5  # without the hash it would be 1,000


def test_hash__is_scrypt_with_a_salt_of_its_own_and_one_letter_has_one_spelling():
    one, other = (new_user("ada", "caf\u00e9 caf\u00e9 caf\u00e9", ("predict",), CHEAP) for _ in range(2))
    assert one.salt != other.salt
    assert one.hash != other.hash
    file = UserFile(scrypt=CHEAP, users=(one,))
    assert user_of(file, "ada", "cafe\u0301 cafe\u0301 cafe\u0301") == one
    assert user_of(file, "ada", "\ud800") is None  # no crash


def test_script__sets_a_password_that_only_its_owner_may_read(tmp_path):
    file = tmp_path / "users.json"
    options = ("user", "--file", file, "--name", "ada", "--scope", "predict")

    def typed(text):
        command = [sys.executable, str(ROOT / "scripts" / "access_key.py"), *map(str, options)]
        ended = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout, ended.stderr

    assert typed("too short\n") == (1, "", "refused: a password has 15 to 256 characters: take some words\n")
    assert typed(f"{PASSWORD}\n") == (0, "", "")
    assert (file.stat().st_mode & 0o777, read_users(file).scrypt) == (0o600, ADVISED)
    assert user_of(read_users(file), "ada", PASSWORD)
    assert typed("another password\n")[0] == 0
    assert [user_of(read_users(file), "ada", word) is None for word in (PASSWORD, "another password")] == [True, False]


def test_manage__a_name_that_is_none_is_said(tmp_path):
    with pytest.raises(CannotTell, match="a name has up to 100 of"):
        manage.set_password(tmp_path / "users.json", "a b", PASSWORD, ("predict",))


@pytest.mark.parametrize(("cost", "message"), [
    ({"n": 1000}, "greater than or equal to 1024"), ({"n": 1500}, "n must be a power of 2"),
    ({"n": 1 << 20, "r": 8}, "must not be above 256 MiB"), ({"p": 0}, "greater than or equal to 1"),
])  # fmt: skip
def test_file__a_cost_that_protects_nothing_or_takes_all_memory_is_refused(tmp_path, cost, message):
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"scrypt": {"n": 1024, "r": 8, "p": 1} | cost, "users": []}))
    with pytest.raises(CannotTell, match=message):
        read_users(file)


def test_file__two_users_of_one_name_are_refused(demo, tmp_path):
    file = tmp_path / "users.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"users": said["users"] * 2}))
    with pytest.raises(CannotTell, match="two users have the same name"):
        read_users(file)


def test_file__a_missing_one_says_how_to_make_one(tmp_path):
    with pytest.raises(CannotTell, match=r"users\.json is missing: set a password with scripts/access_key\.py user"):
        read_users(tmp_path / "users.json")
