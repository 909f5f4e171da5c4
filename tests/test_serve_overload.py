"""More requests than answers: who is turned away, at once and by the rules, and who never is."""

import asyncio
import json
import signal
import socket

import pytest
import uvloop
from tests.serve_process import HOUR, START_SECONDS, ServeProcess, small_bundle, until

from textgate.serve.ready_made import TurnAway
from textgate.serve.server import doors

CLIENTS = 150
GOOD = b'{"text": "snow near the fjord"}'
SEVERAL = b'{"texts": ["snow", "dune"]}'


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Return a service in which nobody may wait for longer than a millisecond."""
    folder = tmp_path_factory.mktemp("overload")
    with ServeProcess(folder, small_bundle(folder / "model"), limits={"wait_ms": 1}) as process:
        yield process


def post(body, *headers):
    start = f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return "\r\n".join((start, *headers, "", "")).encode() + body


def more_of(connection):
    part = connection.recv(65536)
    assert part, "the connection ended before the answer did"
    return part


def answer_of(connection):
    """Return (status, headers, document) of one answer."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += more_of(connection)
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    while len(body) < int(headers["content-length"]):
        body += more_of(connection)
    return int(first.split()[1]), headers, json.loads(body)


def all_at_once(service, connections, *headers):
    """Let all ask while the service is stopped, so that it hears them in one turn; return their answers."""
    service.process.send_signal(signal.SIGSTOP)
    for connection in connections:
        connection.sendall(post(GOOD, *headers))
    service.process.send_signal(signal.SIGCONT)
    return [answer_of(connection) for connection in connections]


def used(service):
    """Return connections that were already used: they are let in."""
    made = [socket.create_connection(service.address, timeout=START_SECONDS) for _ in range(CLIENTS)]
    for connection in made:
        connection.sendall(post(GOOD))
        assert answer_of(connection)[0] == 200
    return made


@pytest.fixture
def connections(service):
    made = used(service)
    yield made
    for connection in made:
        connection.close()


def test_overload__who_finds_no_room_is_told_when_to_come_back_and_all_is_noted(service, connections):
    labels = {"endpoint": "/predict", "status": "503"}
    before = (
        service.metric("textgate_requests_total", **labels),
        service.metric("textgate_rejected_total", reason="busy"),
    )
    answers = all_at_once(service, connections)
    refused = [(headers, document) for status, headers, document in answers if status == 503]
    assert {status for status, _, _ in answers} == {200, 503}
    assert len(refused) > CLIENTS / 2
    for headers, document in refused:
        assert document == {
            "type": "about:blank", "title": "Service Unavailable", "status": 503,
            "detail": "too many texts wait already: try again later",
            "instance": f"urn:uuid:{headers['x-request-id']}",
        }  # fmt: skip
        assert (headers["content-type"], headers["retry-after"]) == ("application/problem+json", "1")
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    after = (
        service.metric("textgate_requests_total", **labels),
        service.metric("textgate_rejected_total", reason="busy"),
    )
    assert [one - other for one, other in zip(after, before, strict=True)] == [len(refused)] * 2
    lines = {line["request_id"]: line for line in service.log() if line.get("status") == 503}
    for headers, _ in refused:
        line = lines[headers["x-request-id"]]
        assert (line["client"], line["endpoint"], line["version"]) == ("127.0.0.1", "/predict", None)


def test_overload__who_is_turned_away_keeps_its_own_id(service, connections):
    own = "3c2f1a52-7f0e-4a3b-9a42-0d1c5f6a7b8e"
    for status, headers, document in all_at_once(service, connections, f"X-Request-ID: {own}"):
        assert headers["x-request-id"] == own
        assert status == 200 or document["instance"] == f"urn:uuid:{own}"


def test_overload__times_are_of_those_who_were_heard(service, connections):
    times, endpoint = "textgate_request_seconds_count", {"endpoint": "/predict"}
    before = service.metric(times, **endpoint)
    heard = sum(status == 200 for status, _, _ in all_at_once(service, connections))
    assert heard <= service.metric(times, **endpoint) - before < CLIENTS  # a few are heard, and refused by the queue


def test_overload__a_connection_that_was_turned_away_goes_on(service, connections):
    refused = [
        connection
        for connection, answer in zip(connections, all_at_once(service, connections), strict=True)
        if answer[0] == 503
    ]
    for connection in refused:
        connection.sendall(post(GOOD))
        assert answer_of(connection)[0] == 200


def test_overload__requests_sent_ahead_are_answered_in_their_order(service, connections):
    service.process.send_signal(signal.SIGSTOP)
    for connection in connections:
        connection.sendall(post(GOOD) + b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
    service.process.send_signal(signal.SIGCONT)
    for connection in connections:
        got = b""
        while b'"alive"' not in got:
            got += more_of(connection)
        first, second = got.split(b"HTTP/1.1 ")[1:]
        assert first[:3] in (b"200", b"503")
        assert second[:3] == b"200"


def test_overload__of_single_texts_leaves_room_for_a_request_of_several(service, connections):
    *single, other = connections
    service.process.send_signal(signal.SIGSTOP)
    for connection in single:
        connection.sendall(post(GOOD))
    other.sendall(post(SEVERAL))
    service.process.send_signal(signal.SIGCONT)
    assert {answer_of(connection)[0] for connection in single} == {200, 503}
    found = answer_of(other)
    assert found[0] in (200, 503)  # it comes behind those who were let in before it
    other.sendall(post(SEVERAL))
    assert answer_of(other)[0] == 200


def test_overload__who_asks_alone_is_never_turned_away(service):
    with socket.create_connection(service.address, timeout=START_SECONDS) as connection:
        for body in (GOOD, SEVERAL) * 50:
            connection.sendall(post(body))
            assert answer_of(connection)[0] == 200


def test_overload__other_addresses_are_answered(service, connections):
    service.process.send_signal(signal.SIGSTOP)
    for connection in connections[1:]:
        connection.sendall(post(GOOD))
    connections[0].sendall(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
    service.process.send_signal(signal.SIGCONT)
    assert answer_of(connections[0])[0] == 200
    assert 503 in {answer_of(connection)[0] for connection in connections[1:]}


def test_overload__at_the_end_every_answer_closes_its_connection(tmp_path):
    limits, listen = {"wait_ms": 1}, {"notice_seconds": HOUR}
    with ServeProcess(tmp_path, small_bundle(tmp_path / "model"), limits=limits, listen=listen) as ending:
        connections = used(ending)
        ending.process.send_signal(signal.SIGTERM)
        until(lambda: '"stopping"' in ending.text())
        answers = all_at_once(ending, connections)
        assert {status for status, _, _ in answers} == {200, 503}
        assert {headers["connection"] for _, headers, _ in answers} == {"close"}
        for connection in connections:
            connection.close()


def scope(method="POST", path="/predict"):
    return {"method": method, "path": path, "client": ("192.0.2.1", 9), "headers": []}


def test_turn_away__counts_who_was_read_in_this_turn_and_no_longer():
    seen = []

    async def test():
        turn_away = TurnAway(lambda texts, coming: seen.append((texts, coming)))
        for body in (GOOD, SEVERAL, GOOD):
            assert turn_away(scope(), body) is None
        await asyncio.sleep(0)
        turn_away(scope(), GOOD)

    asyncio.run(test())
    assert seen == [(1, 0), (2, 1), (1, 2), (1, 0)]


@pytest.mark.parametrize(("wait_s", "said"), [(0.2, b"1"), (1.2, b"2")])
def test_turn_away__says_when_to_come_back(wait_s, said):
    answer = TurnAway(lambda *_: wait_s)(scope(), GOOD)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nretry-after: %b\r\n" % said in answer


@pytest.mark.parametrize("other", [scope("GET"), scope(path="/explain"), scope(path="/metrics")])
def test_turn_away__is_for_predictions_alone(other):
    assert TurnAway(lambda *_: 1.0)(other, b"") is None


def test_doors__let_many_in_at_a_turn_of_the_loop():
    came = []

    class Guest(asyncio.Protocol):
        def connection_made(self, _transport):
            came.append(self)

    async def turns_until_all_are_in(sockets):
        loop, address = asyncio.get_running_loop(), sockets[0].getsockname()
        servers = [await loop.create_server(Guest, sock=one, backlog=100) for one in sockets]
        clients = [socket.create_connection(address) for _ in range(60)]
        came.clear()
        turns = 0  # in which somebody came: the way through the kernel may take a client longer than a turn
        while (before := len(came)) < len(clients):
            await asyncio.sleep(0)
            turns += len(came) > before
        for one in (*servers, *clients):
            one.close()
        return turns

    one = socket.create_server(("127.0.0.1", 0), backlog=100)
    many = doors(socket.create_server(("127.0.0.1", 0), backlog=100))
    assert uvloop.run(turns_until_all_are_in([one])) > 40
    assert uvloop.run(turns_until_all_are_in(many)) < 20
