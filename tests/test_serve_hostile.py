"""What comes over the network and should not: never a 5xx, never a worker that answers nobody else."""

import http.client
import json
import os
import re
import select
import signal
import socket
import time
from contextlib import contextmanager, suppress

import pytest
from tests.serve_process import START_SECONDS, ServeProcess, read_all, small_bundle

HEADER_S, BODY_S = 0.6, 0.5
MOST = 20_000  # bytes of a body
GOOD = b'{"text": "snow and pine"}'
JSON_TYPE = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return small_bundle(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="module")
def service(tmp_path_factory, bundle):
    """Return a service that waits for slow clients: only what they send decides."""
    listen, limits = {"connections": 20}, {"body_bytes": MOST}
    with ServeProcess(tmp_path_factory.mktemp("serve"), bundle, listen=listen, limits=limits) as process:
        yield process


@pytest.fixture(scope="module")
def hasty(tmp_path_factory, bundle):
    """Return a service that waits for nobody."""
    listen = {"header_seconds": HEADER_S, "body_seconds": BODY_S, "keep_alive_seconds": 1}
    limits = {"body_bytes": MOST}
    with ServeProcess(tmp_path_factory.mktemp("hasty"), bundle, listen=listen, limits=limits) as process:
        yield process


@pytest.fixture(autouse=True)
def _unharmed(service, hasty):
    """After each of these tests a normal request is answered, nothing was a 5xx, and no defect is in the log."""
    yield
    assert service.predict("snow")[0] == 200
    lines = [*service.log(), *hasty.log()]
    assert {line.get("status") for line in lines}.isdisjoint({500, 502, 504})
    assert [line for line in lines if line.get("level") == "error" or "line" in line] == []
    assert hasty.process.poll() is None


@contextmanager
def heard_at_once(service, content):
    """Connect and send while the service is stopped, so that it hears of both in one moment; yield the connection."""
    service.process.send_signal(signal.SIGSTOP)
    try:
        connection = socket.create_connection(service.address, timeout=START_SECONDS)
        connection.sendall(content)
    finally:
        service.process.send_signal(signal.SIGCONT)
    with connection:
        yield connection


def told(service, content):
    """Return all that comes back until the service hangs up."""
    with heard_at_once(service, content) as connection:
        return read_all(connection)


def post(body, *headers, version=b"1.1", length=None):
    lines = [b"POST /predict HTTP/" + version, b"Host: x", b"Content-Type: application/json", *headers]
    if length is not False:
        lines.append(b"Content-Length: " + (str(len(body)).encode() if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks):
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return post(body, b"Transfer-Encoding: chunked", b"Connection: close", length=False)


def statuses(answer):
    """Return the status of each answer on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


CLOSE = b"Connection: close"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 20_000,
        b'{"text":' * 1000 + b"1" + b"}" * 1000,
        b'{"texts": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"text": "\xff\xfe"}',
        b'{"text": "\xc0\xaf"}',
        b'{"text": "\xed\xa0\x80"}',
        b'{"text": "\\udfff"}',
        b'{"text": "a\x00b"}',
        b"\x00" * 5000,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        b'{"text": 1e999}',
        b'{"text": ' + b"9" * 10_000 + b"}",
        b'{"text": Infinity}',
        b'{"text": "a"',
        b'{"text": "a"} {"text": "b"}',
        b'{"__proto__": {"text": "a"}}',
        b"text=a",
        b"true",
        os.urandom(5000),
    ],
    ids=range(20),
)
def test_body__that_is_no_question_is_refused(service, body):
    assert statuses(service.raw(post(body, CLOSE))) == [422]


def test_body__of_a_key_twice_answers_for_the_last(service):
    answer = service.raw(post(b'{"text": "snow ice elk", "text": "dune palm camel"}', CLOSE))
    assert statuses(answer) == [200]
    assert b'"label":"south"' in answer


def test_body__of_100_mb_is_refused_before_it_is_sent(service):
    answer = service.raw(post(b"", length=b"100000000"), end=True)
    assert statuses(answer) == [413]
    assert b"The body may have at most 20000 bytes." in answer


def test_body__of_100_mb_that_is_sent_all_the_same_gets_its_answer_and_the_connection_goes_on(service):
    connection = http.client.HTTPConnection(*service.address, timeout=START_SECONDS)
    content = b"x" * 100_000_000
    for body in (content, (content[:1_000_000] for _ in range(100))):  # the second without a length, in chunks
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        assert json.loads(connection.getresponse().read())["status"] == 413
    connection.request("POST", "/predict", GOOD, {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


def test_body__without_end_is_cut_off(hasty):
    start = post(b"", b"Transfer-Encoding: chunked", length=False)
    with suppress(ConnectionError), heard_at_once(hasty, start) as connection:
        for _ in range(100_000):
            connection.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        pytest.fail("3 GB were read")


def test_body__one_byte_too_many_is_too_many(service):
    fits = b'{"text": "%b"}' % (b"x" * (MOST - 12))
    assert len(fits) == MOST
    assert statuses(service.raw(chunked(fits))) == [422]  # the text is too long, the body is not
    assert statuses(service.raw(chunked(fits + b" "))) == [413]
    assert statuses(service.raw(post(fits + b" ", CLOSE))) == [413]


def test_body__who_asks_first_is_told_to_send_it_or_not_to(service):
    expect = b"Expect: 100-continue"
    with socket.create_connection(service.address, timeout=START_SECONDS) as connection:
        connection.sendall(post(b"", expect, CLOSE, length=b"%d" % len(GOOD)))
        assert statuses(connection.recv(1000)) == [100]
        connection.sendall(GOOD)
        assert statuses(read_all(connection)) == [200]
    assert statuses(service.raw(post(GOOD, expect, CLOSE))) == [200]  # it is there: RFC 9110, 10.1.1
    assert statuses(service.raw(post(b"", expect, length=b"100000000"))) == [413]


@pytest.mark.parametrize("parts", [(b"", b"X: y\r\n" * 5000), (b"X: ", b"y" * 30_000), (b"", b";" * 30_000)])
def test_body__that_ends_in_fields_without_end_is_refused(service, parts):
    first, more = parts
    before = service.metric("textgate_rejected_total", reason="size")
    with socket.create_connection(service.address, timeout=START_SECONDS) as connection, suppress(ConnectionError):
        chunk = b"5" if more.startswith(b";") else b"%x\r\n%b\r\n0\r\n" % (len(GOOD), GOOD)
        connection.sendall(post(chunk + first, b"Transfer-Encoding: chunked", length=False))
        for _ in range(1000):
            connection.sendall(more)
        pytest.fail("30 MB were read")
    assert service.metric("textgate_rejected_total", reason="size") == before + 1


def test_body__that_does_not_arrive_is_not_waited_for(hasty):
    started = time.monotonic()
    answer = told(hasty, post(GOOD[:5], length=b"30"))
    assert statuses(answer) == [408]
    assert b"application/problem+json" in answer
    assert time.monotonic() - started > BODY_S * 0.9


def test_header__that_does_not_arrive_is_not_waited_for(hasty):
    assert statuses(told(hasty, b"POST /predict HTTP/1.1\r\nHos")) == [408]
    assert told(hasty, b"") == b""  # who says nothing is not answered


def test_header__byte_by_byte_is_too_slow_however_steady(hasty):
    with heard_at_once(hasty, b"POST /predict HTTP/1.1\r\nX: ") as connection:
        ended = select.poll()
        ended.register(connection, select.POLLIN)
        with suppress(ConnectionError):  # a byte that crosses the answer
            while not ended.poll(20):
                connection.sendall(b"y")
        assert statuses(read_all(connection)) == [408]


def test_connection__that_is_quiet_after_an_answer_is_closed(hasty):
    assert statuses(told(hasty, post(GOOD))) == [200]


def test_connection__a_second_header_that_does_not_arrive_is_not_waited_for(hasty):
    assert statuses(told(hasty, post(GOOD) + b"POST /pre")) in ([200, 408], [200])


def test_pipeline__is_answered_in_its_order(service):
    bodies = [b'{"text": "snow"}', b'{"text": 1}', b'{"texts": ["dune", "snow"]}']
    answer = service.raw(b"".join(map(post, bodies[:2])) + post(bodies[2], CLOSE))
    assert statuses(answer) == [200, 422, 200]
    assert re.findall(rb'"label":"(\w+)"', answer) == [b"north", b"south", b"north"]


def test_pipeline__without_end_is_not_read_into_memory(service):
    before = service.metric("textgate_requests_total", endpoint="/health", status="200")
    with socket.create_connection(service.address, timeout=START_SECONDS) as connection, suppress(OSError):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000)
        read_all(connection)
    assert 100 < service.metric("textgate_requests_total", endpoint="/health", status="200") - before < 10_000


def test_pipeline__of_a_hundred_is_answered_whole(service):
    assert statuses(service.raw(post(GOOD) * 100 + post(GOOD, CLOSE))) == [200] * 101


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(GOOD, CLOSE, length=b"-1"),
        post(GOOD, CLOSE, length=b"+25"),
        post(GOOD, CLOSE, length=b"0x19"),
        post(GOOD, CLOSE, length=b"25, 25"),
        post(GOOD, CLOSE, length=b"9" * 5000),
        post(GOOD, CLOSE, length=b""),
        post(GOOD, b"Content-Length: 25", CLOSE, length=b"3"),
        post(GOOD, b"Content-Length: 25", CLOSE, length=b"25"),
        post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", CLOSE),
        post(GOOD, b"Transfer-Encoding: identity", CLOSE),
        post(GOOD, b"Transfer-Encoding: chunked, chunked", CLOSE, length=False),
        post(b"ffffffffffffffffff\r\nx", b"Transfer-Encoding: chunked", CLOSE, length=False),
        post(b"-5\r\nhello\r\n0\r\n\r\n", b"Transfer-Encoding: chunked", CLOSE, length=False),
        post(GOOD, CLOSE, b"no colon"),
        post(GOOD, CLOSE, b"X\x00Y: z"),
        post(GOOD, CLOSE, b"X: a\x00b"),
        post(GOOD, CLOSE, b" folded: x"),
        post(GOOD, CLOSE, version=b"9.9"),
        post(GOOD, CLOSE).replace(b"Host: x\r\n", b""),
        post(GOOD, CLOSE, b"Host: x"),
        post(GOOD, CLOSE, b"Host: y", version=b"1.0"),
        post(GOOD, CLOSE).replace(b"Host: x", b"Host: a b"),
        post(GOOD, CLOSE).replace(b"Host: x", b"Host: a/b@c"),
        post(GOOD, CLOSE).replace(b"/predict", b""),
        post(GOOD, CLOSE).replace(b"/predict", b"/\xff"),
        post(GOOD, CLOSE).replace(b"/predict", b"/ /"),
        post(GOOD, CLOSE).replace(b"POST", b"P\x00ST"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT http://a/health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET\r\n\r\n",
        b"\r\n" * 1000 + b"x",
    ],
    ids=range(35),
)
def test_request__that_is_not_http_is_refused(service, request_bytes):
    answer = service.raw(request_bytes)
    assert statuses(answer) in ([400], [413], [501])
    assert answer.count(b"application/problem+json") == 1


@pytest.mark.parametrize("size", [40_000, 150_000, 3_000_000])
def test_header__that_is_too_large_is_refused(service, size):
    many = b"".join(b"h%d: %d\r\n" % (number, number) for number in range(size // 6))
    for header in (b"X: " + b"y" * size, many.rstrip()):
        assert statuses(service.raw(post(GOOD, header, CLOSE))) in ([431], [])  # or it hung up while we still sent
    assert statuses(service.raw(post(GOOD, b"X: " + b"y" * 30_000, CLOSE))) == [200]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /%00 HTTP/1.1", 404),
        (b"GET /%ff%fe HTTP/1.1", 404),
        (b"GET /../../etc/passwd HTTP/1.1", 404),
        (b"GET /static/..%2f..%2fapp.py HTTP/1.1", 404),
        (b"GET /static/%2e%2e/app.py HTTP/1.1", 404),
        (b"GET //health HTTP/1.1", 404),
        (b"GET http://elsewhere/health HTTP/1.1", 200),
        (b"GET /health?" + b"x=%zz&" * 1000 + b" HTTP/1.1", 200),
        (b"OPTIONS * HTTP/1.1", 404),
        (b"HEAD /health HTTP/1.1", 200),
        (b"TRACE /predict HTTP/1.1", 405),
        (b"GET /health HTTP/1.0", 200),
    ],
)
def test_request__for_an_odd_address_is_only_odd(service, line, status):
    assert statuses(service.raw(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")) == [status]


@pytest.mark.parametrize("host", [b"", b"h:8000", b"[::1]:80", b"127.0.0.1", b"a-b_c.example", b"%61", b"\th \t"])
def test_request__that_names_one_host_may_name_any(service, host):
    assert statuses(service.raw(post(GOOD, CLOSE).replace(b"Host: x", b"Host: " + host))) == [200]


@pytest.mark.parametrize("more", [(), (b"Connection: upgrade", b"Upgrade: h2c")])
def test_request__of_http_1_0_need_name_no_host_and_is_answered_once(service, more):
    assert statuses(service.raw(post(GOOD, *more, version=b"1.0").replace(b"Host: x\r\n", b""))) == [200]


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"TLS/1.0", b"\xff"])
def test_request__to_speak_something_else_is_answered_in_http(service, upgrade):
    headers = b"Connection: close, Upgrade", b"Upgrade: " + upgrade, b"Sec-WebSocket-Key: x", b"HTTP2-Settings: x"
    assert statuses(service.raw(post(GOOD, *headers))) == [200]


def test_request__shorter_than_it_says_is_dropped_when_the_client_leaves(service):
    assert service.raw(post(GOOD, length=b"100"), end=True) == b""


def test_request__longer_than_it_says_is_answered_and_the_rest_is_not(service):
    assert statuses(service.raw(post(GOOD + b"more of it", length=b"25"))) == [200]


def test_connections__too_many_are_turned_away_and_the_others_are_served(service):
    held = [socket.create_connection(service.address, timeout=START_SECONDS) for _ in range(20)]
    with socket.create_connection(service.address, timeout=START_SECONDS) as connection:
        answer = read_all(connection)
    assert statuses(answer) == [503]
    assert b"retry-after: 1\r\n" in answer.lower()
    for connection in held:  # all of them at once: their headers are not waited for either
        connection.sendall(post(GOOD, CLOSE))
    for connection in held:
        assert statuses(read_all(connection)) == [200]
        connection.close()


def test_answers__that_nobody_reads_hold_a_place_no_longer_than_a_slow_body(hasty):
    with suppress(ConnectionError), heard_at_once(hasty, b"") as connection:
        ended = select.poll()
        ended.register(connection, 0)  # tells of the end of the connection alone
        for _ in range(1500):  # 37 MB of answers: more than any system keeps for us
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            if ended.poll(5):
                return
        assert ended.poll(1000 * START_SECONDS), "it is still waiting for us"


def test_answers__that_fill_every_buffer_come_whole_to_who_reads_them(service):
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n"
    with socket.create_connection(service.address, timeout=START_SECONDS) as connection:
        connection.sendall((ask + b"\r\n") * 99 + ask + CLOSE + b"\r\n\r\n")
        assert statuses(read_all(connection)) == [200] * 100
