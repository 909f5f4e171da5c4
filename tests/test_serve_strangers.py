"""Who may not ask is told so before the body is read, and the connection ends or goes on as HTTP has it."""

import json
import socket
import time

import pytest
from tests.serve_process import START_SECONDS, ServeProcess, read_all, small_bundle

from textgate.serve.access import manage

BODY_S, MOST = 1.0, 1_000_000
GOOD = b'{"text": "snow near the fjord"}'


def keys_in(file):
    return {"clients": {"kind": "keys", "file": str(file)}}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers")
    file = folder / "keys.json"
    key = manage.make(file, "ada", ("predict",), 90)
    access = keys_in(file) | {"rate": {"per_second": 0.00001, "burst": 2, "clients": 10}}
    with ServeProcess(folder, small_bundle(folder / "model"), access=access) as process:
        process.key = key.encode()
        process.other = manage.make(file, "eve", ("explain",), 90).encode()
        yield process


def head(length, *headers, path=b"/predict"):
    lines = (b"Host: here", b"Content-Type: application/json", b"Content-Length: %d" % length, *headers)
    return b"POST " + path + b" HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def one_answer(connection):
    """Return (status, bytes of head) of the next answer."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(65536)
        assert part, "the connection ended without an answer"
        got += part
    start, _, body = got.partition(b"\r\n\r\n")
    length = int(start.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        part = connection.recv(65536)
        assert part, "the connection ended within an answer"
        body += part
    return int(start.split()[1]), start.lower()


def connected(service):
    return socket.create_connection(service.address, timeout=START_SECONDS)


@pytest.mark.parametrize("path", [b"/predict", b"/explain"])
def test_stranger__is_told_so_before_the_body_is_read(service, path):
    with connected(service) as connection:
        connection.sendall(head(MOST, path=path))  # and none of it
        assert one_answer(connection)[0] == 401  # and not 408, as for a body that was waited for


def test_stranger__with_a_body_that_nobody_may_send_hears_nothing_about_the_limit(service):
    with connected(service) as connection:
        connection.sendall(head(MOST * 100))
        assert one_answer(connection)[0] == 401


def test_stranger__who_sends_the_body_all_the_same_may_ask_again_with_a_key(service):
    with connected(service) as connection:
        connection.sendall(head(MOST))
        assert one_answer(connection)[0] == 401
        connection.sendall(b"x" * MOST + head(len(GOOD), b"X-API-Key: " + service.key) + GOOD)
        assert one_answer(connection)[0] == 200


def test_stranger__who_shows_a_key_after_the_body_has_shown_none(service):
    start = head(0, b"Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    with connected(service) as connection:
        trailer = b"X-API-Key: " + service.key
        connection.sendall(start + b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(GOOD), GOOD, trailer))
        assert one_answer(connection)[0] == 401


def test_stranger__who_waits_to_be_asked_for_the_body_is_not_asked_and_the_connection_ends(service):
    with connected(service) as connection:
        connection.sendall(head(MOST, b"Expect: 100-continue"))
        status, start = one_answer(connection)
        assert (status, start.count(b"connection: close")) == (401, 1)
        assert read_all(connection) == b""


def test_stranger__who_sends_the_body_slowly_is_cut_off(tmp_path):
    manage.make(tmp_path / "keys.json", "ada", ("predict",), 90)
    sections = {"access": keys_in(tmp_path / "keys.json"), "listen": {"body_seconds": BODY_S}}
    with ServeProcess(tmp_path, small_bundle(tmp_path / "model"), **sections) as hasty, connected(hasty) as connection:
        started = time.monotonic()
        connection.sendall(head(MOST))
        assert one_answer(connection)[0] == 401
        connection.sendall(b"x")
        assert read_all(connection) == b""
        assert time.monotonic() - started > BODY_S * 0.9


def test_client__without_the_scope_is_told_so_before_the_body_is_read(service):
    with connected(service) as connection:
        connection.sendall(head(MOST, b"X-API-Key: " + service.other))
        assert one_answer(connection)[0] == 403


def test_client__who_asks_too_often_is_told_so_before_the_body_is_read(service):
    key = manage.make(service.folder / "keys.json", "bob", ("predict",), 90).encode()
    with connected(service) as connection:
        for _ in range(2):
            connection.sendall(head(len(GOOD), b"X-API-Key: " + key) + GOOD)
            assert one_answer(connection)[0] == 200
        connection.sendall(head(MOST, b"X-API-Key: " + key))
        assert one_answer(connection)[0] == 429


def test_address__that_takes_no_body_does_not_wait_for_one(service):
    with connected(service) as connection:
        connection.sendall(head(MOST, path=b"/nowhere"))
        assert one_answer(connection)[0] == 404
        connection.sendall(b"x" * MOST + b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
        assert one_answer(connection)[0] == 200


def test_stranger__is_noted_as_any_other(service):
    with connected(service) as connection:
        connection.sendall(head(MOST))
        _, start = one_answer(connection)
    service.get("/health")  # the line is written after the answer, and one process does one thing after the other
    request_id = start.partition(b"x-request-id: ")[2][:36].decode()
    lines = [line for line in service.log() if line.get("request_id") == request_id and "status" in line]
    assert [(line["status"], line["client"]) for line in lines] == [(401, "127.0.0.1")]
    assert json.dumps(lines).count("ada") == 0
