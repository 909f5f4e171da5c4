"""The issuer's keys over HTTPS: when they are asked for, what is not believed, and what an outage does."""

import asyncio
import threading

import pytest
from pydantic import ValidationError
from tests.access_server import ALL, OTHER, RSA, ask, bearer, behind, issuing, jwt_config, published, token

from textgate.serve.access.jwks import UrlKeys
from textgate.serve.problems import Problem


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self):
        """Return the time."""
        return self.now


@pytest.fixture
def issuer(tmp_path, monkeypatch):
    with issuing(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def clock():
    return Clock()


def finds(issuer, clock, story):
    """Run a story of awaits with keys that were never asked for."""
    return asyncio.run(story(UrlKeys(jwt_config(issuer.url), clock)))


def test_find__keys_are_asked_for_once_and_kept(issuer, clock):
    async def story(keys):
        assert issuer.asked == 0
        assert await keys.find("rsa", "RS256")
        clock.now += 599
        assert await keys.find("ec", "ES256")
        assert not await keys.find("ec", "RS256")

    finds(issuer, clock, story)
    assert issuer.asked == 2  # the last one, an unknown pair, a minute and more after the first


def test_find__a_new_kid_is_asked_for_but_only_once_a_minute(issuer, clock):
    async def story(keys):
        await keys.find("rsa", "RS256")
        issuer.body = published(("new", OTHER)).encode()
        for number in range(20):
            assert await keys.find(f"unknown {number}", "RS256") is None
        assert issuer.asked == 1
        clock.now += 59
        assert await keys.find("new", "RS256") is None
        clock.now += 1
        assert await keys.find("new", "RS256")
        assert await keys.find("rsa", "RS256") is None  # withdrawn
        assert issuer.asked == 2

    finds(issuer, clock, story)


def test_find__many_at_once_ask_once(issuer, clock):
    async def story(keys):
        return await asyncio.gather(*(keys.find("rsa", "RS256") for _ in range(50)))

    assert all(finds(issuer, clock, story))
    assert issuer.asked == 1


def test_find__one_who_leaves_does_not_end_the_question_of_the_others(issuer, clock):
    async def story(keys):
        issuer.drip = threading.Event()
        one, other = (asyncio.create_task(keys.find("rsa", "RS256")) for _ in range(2))
        assert await asyncio.to_thread(issuer.reached.wait, 60)
        one.cancel()
        issuer.drip.set()
        return await other

    assert finds(issuer, clock, story)


def test_find__known_keys_wait_for_nobody_when_it_is_time_to_ask_again(issuer, clock):
    async def story(keys):
        await keys.find("rsa", "RS256")
        issuer.drip = threading.Event()
        clock.now += 600
        found = await keys.find("rsa", "RS256")
        assert not keys._asking.done()  # the issuer keeps its answer back
        assert await asyncio.to_thread(issuer.reached.wait, 60)
        issuer.drip.set()
        return found

    assert finds(issuer, clock, story)


def test_find__through_an_outage_the_keys_at_hand_are_trusted_but_not_for_ever(issuer, clock):
    async def story(keys):
        await keys.find("rsa", "RS256")
        issuer.status = 500
        clock.now += 3599
        assert await keys.find("rsa", "RS256")
        assert await keys.find("nobody", "RS256") is None
        clock.now += 1
        with pytest.raises(Problem) as caught:
            await keys.find("rsa", "RS256")
        assert (caught.value.status, caught.value.detail) == (503, "Tokens can't be checked at the moment.")
        assert 1 <= int(caught.value.headers["Retry-After"]) <= 60
        clock.now += 60
        issuer.status = 200
        assert await keys.find("rsa", "RS256")

    finds(issuer, clock, story)


BAD = {
    "an error": ({"status": 404}, "HTTP Error 404"),
    "a redirect": ({"status": 302, "headers": {"Location": "/other.json"}}, "HTTP Error 302"),
    "too much": ({"body": b" " * (1 << 20) + ALL.encode()}, "answers more than 1048576 bytes"),
    "no JSON": ({"body": b"<html>"}, "not a JSON Web Key Set"),
    "no keys": ({"body": b'{"keys": []}'}, "holds no key with a kid"),
    "secret keys": ({"body": b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "rsa"}]}'}, "holds no key with a kid"),
    "no UTF-8": ({"body": b'{"keys": "\xff"}'}, "not a JSON Web Key Set"),
}


@pytest.mark.parametrize(("answer", "said"), BAD.values(), ids=BAD.keys())
def test_find__an_answer_that_is_no_key_set_is_logged_and_nobody_is_let_in(issuer, clock, caplog, answer, said):
    for name, value in answer.items():
        setattr(issuer, name, value)
    with pytest.raises(Problem) as caught:
        finds(issuer, clock, lambda keys: keys.find("rsa", "RS256"))
    assert caught.value.status == 503
    assert issuer.asked == 1  # a redirect is not followed
    assert f"{issuer.url}: {said}" in caplog.text


def test_find__an_issuer_whose_certificate_nobody_vouches_for_is_not_believed(issuer, clock, monkeypatch, caplog):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Problem):
        finds(issuer, clock, lambda keys: keys.find("rsa", "RS256"))
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


def test_find__a_certificate_for_another_host_is_not_believed(issuer, clock, caplog):
    issuer.url = issuer.url.replace("localhost", "127.1")
    with pytest.raises(Problem):
        finds(issuer, clock, lambda keys: keys.find("rsa", "RS256"))
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


@pytest.mark.long
def test_find__an_issuer_that_drips_is_left_after_seconds(issuer, clock, caplog):
    issuer.drip = threading.Event()
    with pytest.raises(Problem):
        finds(issuer, clock, lambda keys: keys.find("rsa", "RS256"))
    issuer.drip.set()
    assert issuer.url in caplog.text


def test_app__takes_tokens_of_an_issuer_over_https_and_503_without_it(issuer):
    issuer.status = 500
    with behind(clients=jwt_config(issuer.url)) as port:
        answer = ask(port, "/predict", bearer(token()))
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) <= 60
    issuer.status = 200
    with behind(clients=jwt_config(issuer.url)) as port:
        assert [ask(port, "/predict", bearer(token(key))).status for key in (RSA, OTHER)] == [200, 401]


@pytest.mark.parametrize(("place", "message"), [
    ("http://issuer.example/jwks.json", "must be an https address, or a file"),
    ("file:///etc/passwd", "must be an https address, or a file"),
    ("https:///jwks.json", "must be an https address, or a file"),
    ("https://issuer.example:0/", "must be an https address, or a file"),
    ("https://issuer.example:99999/", "Port out of range 0-65535"),
    ("https://ada:secret@issuer.example/", "must not hold a user or a password"),
])  # fmt: skip
def test_settings__only_https_without_a_password(place, message):
    with pytest.raises(ValidationError, match=message):
        jwt_config(place)


@pytest.mark.parametrize("ways", [("none",), ("HS256",), ("RS256", "HS512"), ()])
def test_settings__no_algorithm_with_a_shared_secret_and_not_none(ways):
    with pytest.raises(ValidationError, match="algorithms"):
        jwt_config("jwks.json", algorithms=ways)
