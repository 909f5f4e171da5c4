"""API keys: made once, kept as hashes, refused when unknown, wrong, expired or revoked."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.access_server import ask, behind
from tests.run_script import finished, run_script

from textgate.errors import CannotTell, Refused
from textgate.serve.access import manage
from textgate.serve.access.client import Client, Denied
from textgate.serve.access.keys import client_of, read_keys

NOW = datetime.now(UTC)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "serving" / "keys.json"


def status(port, shown, path="/predict"):
    return ask(port, path, ("X-API-Key", shown)).status


def changed(file, **fields):
    """Change the first key in the file."""
    content = json.loads(file.read_text())
    content["keys"][0] |= fields
    file.write_text(json.dumps(content))


def id_of(shown):
    return shown.split("_")[1]


def test_key__lets_its_client_in_with_its_scopes(file):
    ada, eve = manage.make(file, "ada", ("predict",), 90), manage.make(file, "eve", ("predict", "explain", "admin"), 90)
    with behind(clients={"kind": "keys", "file": str(file)}, metrics="admin", explain="explain") as port:
        assert [ask(port, "/predict", ("X-API-Key", shown)).body for shown in (ada, eve)] == ['"ada"', '"eve"']
        assert [status(port, ada, path) for path in ("/explain", "/metrics")] == [403, 403]
        assert [status(port, eve, path) for path in ("/explain", "/metrics")] == [200, 200]
        missing = ask(port, "/metrics", ("X-API-Key", ada))
    assert json.loads(missing.body)["detail"] == "This needs the scope admin."


def test_key__each_refusal_looks_the_same_and_has_its_reason_in_our_log(file, caplog):
    good, expired, revoked = (manage.make(file, "ada", ("predict",), days) for days in (90, 0, 90))
    manage.revoke(file, id_of(revoked))
    other_id = ("0" if good[3] != "0" else "1") + good[4:15]
    refused = {
        "not the shape of a key": good[:-1],
        "unknown key": f"tg_{other_id}{good[15:]}",
        f"key {id_of(expired)} has expired": expired,
        f"key {id_of(revoked)} is revoked": revoked,
    }
    wrong = good[:-2] + ("aa" if good[-2:] != "aa" else "bb")
    with behind(clients={"kind": "keys", "file": str(file)}) as port:
        without = ask(port)
        assert (without.status, without.headers["www-authenticate"]) == (401, 'ApiKey realm="textgate"')
        assert json.loads(without.body)["detail"] == "Valid credentials are needed."
        for reason, shown in {**refused, "unknown key ": wrong}.items():
            caplog.clear()
            assert ask(port, "/predict", ("X-API-Key", shown)) == without
            assert f"not let in: {reason.strip()}, from 127.0.0.1" in caplog.text
            assert shown.split("_", 2)[2] not in caplog.text
        for headers in ([("X-API-Key", "")], [("X-API-Key", good)] * 2, [("Authorization", f"Bearer {good}")],
                        [("X-API-Key", f"{good} ,")], [("X-API-Key", "tg_" + "a" * 60_000)]):  # fmt: skip
            assert ask(port, "/predict", *headers) == without
        assert ask(port, f"/predict?X-API-Key={good}&api_key={good}") == without
        assert status(port, good) == 200


def test_key__revoked_or_changed_counts_at_the_next_request(file):
    first = manage.make(file, "ada", ("predict",), 90)
    with behind(clients={"kind": "keys", "file": str(file)}) as port:
        second = manage.make(file, "ada", ("predict",), 90)
        assert [status(port, first), status(port, second)] == [200, 200]
        manage.revoke(file, id_of(first))
        assert [status(port, first), status(port, second)] == [401, 200]
        changed(file, revoked=False, expires=(NOW - timedelta(seconds=1)).isoformat())
        assert [status(port, first), status(port, second)] == [401, 200]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}', "\xff", None])
def test_file__a_broken_new_one_changes_nothing_and_is_logged_once(file, caplog, content):
    shown = manage.make(file, "ada", ("predict",), 90)
    with behind(clients={"kind": "keys", "file": str(file)}) as port:
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content.encode("latin-1"))
        assert [status(port, shown) for _ in range(3)] == [200, 200, 200]
    assert caplog.text.count("what it said before stays in force") == 1


BROKEN = {
    "sha256": ({"sha256": "secret"}, "keys.0.sha256: String should match pattern"),
    "scope": ({"scopes": ["all"]}, "keys.0.scopes.0: Input should be 'predict', 'explain' or 'admin'"),
    "no scope": ({"scopes": []}, "keys.0.scopes: Tuple should have at least 1 item"),
    "no zone": ({"expires": "2030-01-01T00:00:00"}, "keys.0.expires: Input should have timezone info"),
    "revoked in words": ({"revoked": "no"}, "keys.0.revoked: Input should be a valid boolean"),
    "unknown": ({"admin": True}, "keys.0.admin: Extra inputs are not permitted"),
    "name": ({"name": "ada\nadmin"}, "keys.0.name: String should match pattern"),
}


@pytest.mark.parametrize(("fields", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_file__a_broken_one_at_start_is_refused_with_its_key_and_without_the_value(file, fields, message):
    manage.make(file, "ada", ("predict",), 90)
    changed(file, **fields)
    with pytest.raises(CannotTell) as caught:
        read_keys(file)
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "secret" not in str(caught.value)


def test_file__two_keys_of_one_id_are_refused(file):
    manage.make(file, "ada", ("predict",), 90)
    content = json.loads(file.read_text())
    file.write_text(json.dumps({"schema_version": 1, "keys": content["keys"] * 2}))
    with pytest.raises(CannotTell, match="two keys have the same id: make keys with"):
        read_keys(file)


def test_file__a_missing_one_says_how_to_make_one(file):
    with pytest.raises(CannotTell, match=r"keys\.json is missing: make keys with scripts/access_key\.py"):
        read_keys(file)


def test_client_of__compares_the_whole_key_and_an_id_of_nobody_with_a_hash_too(file):
    shown = manage.make(file, "ada", ("predict",), 90)
    keys = read_keys(file)
    assert client_of(keys, shown, NOW) == Client("ada", frozenset({"predict"}))
    for number in range(16, len(shown)):
        other = shown[:number] + ("B" if shown[number] == "A" else "A") + shown[number + 1 :]
        with pytest.raises(Denied, match="unknown key"):
            client_of(keys, other, NOW)
    with pytest.raises(Denied, match="unknown key"):
        client_of({}, shown, NOW)


def test_client_of__expires_to_the_second(file):
    shown = manage.make(file, "ada", ("predict",), 90)
    (key,) = read_keys(file).values()
    assert client_of({key.id: key}, shown, key.expires - timedelta(seconds=1)).name == "ada"
    with pytest.raises(Denied, match=f"key {key.id} has expired"):
        client_of({key.id: key}, shown, key.expires)


def test_script__shows_a_key_once_and_keeps_its_hash_alone(file):
    code, out, _ = finished(
        run_script("access_key", "make", "--file", file, "--name", "ada", "--scope", "predict", "--scope", "explain")
    )
    shown = out.strip()
    assert code == 0
    assert re.fullmatch(r"tg_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", shown)
    assert shown.split("_", 2)[2] not in file.read_text()
    (until,) = (key.expires.date() for key in read_keys(file).values())
    assert 89 <= (until - datetime.now(UTC).date()).days <= 90  # it may be midnight
    listed = finished(run_script("access_key", "list", "--file", file))
    assert listed == (0, f"{id_of(shown)}  ada  predict,explain  until {until}\n", "")
    assert finished(run_script("access_key", "revoke", id_of(shown), "--file", file)) == (0, "", "")
    assert "revoked" in finished(run_script("access_key", "list", "--file", file))[1]
    assert shown not in repr(read_keys(file))


def test_manage__says_what_it_cannot_do(file):
    manage.make(file, "ada", ("predict",), 0)
    assert "ada  predict  expired" in manage.listing(file)[0]
    with pytest.raises(Refused, match=r"there is no key 'abc': scripts/access_key\.py list shows them"):
        manage.revoke(file, "abc")
    for name, days in (("ada lovelace", 1), ("", 1), ("ada", 10**7)):
        with pytest.raises(CannotTell, match="a name has up to 100 of"):
            manage.make(file, name, ("predict",), days)
    assert len(read_keys(file)) == 1


def test_manage__two_people_at_once_lose_no_key(file):
    started = [
        run_script("access_key", "make", "--file", file, "--name", f"n{n}", "--scope", "predict") for n in range(4)
    ]
    assert [finished(one)[0] for one in started] == [0] * 4
    assert {key.name for key in read_keys(file).values()} == {"n0", "n1", "n2", "n3"}
