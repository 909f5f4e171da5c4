"""Several processes that serve behind one port: they end in order, are replaced, and count together."""

import os
import re
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.serve_process import START_SECONDS, ServeProcess, read_all, small_bundle, until

from textgate.serve.audit.verify import verify

BODY = b'{"text": "snow"}'
HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BODY)
)
TWO = {"listen": {"workers": 2}}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return small_bundle(tmp_path_factory.mktemp("model") / "bundle")


def ready(service, times):
    """Wait until so many workers were ready."""
    until(lambda: service.text().count('"ready"') == times)


def children(pid):
    """Process ids of the workers."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(one) for one in found if b"spawn_main" in command_of(one)}


def command_of(pid):
    """Return the command of a process, or nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def figures(folder):
    """Process ids of those that left counters behind."""
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("textgate-metrics-*/counter_*.db")}


def gone(pid):
    """Whether a process has ended, collected or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_workers__count_together_and_one_that_dies_is_replaced(tmp_path, bundle, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with ServeProcess(tmp_path, bundle, listen={"workers": 2}) as service:
        ready(service, 2)
        for _ in range(20):
            assert service.predict("snow")[0] == 200
        until(lambda: service.metric("textgate_predictions_total") == 20)  # counted once the answer is on its way
        assert len(list((tmp_path / "audit").iterdir())) >= 2
        before = children(service.process.pid)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        ready(service, 3)
        (line,) = [line for line in service.log() if line.get("message") == "a worker ended, another one is started"]
        assert (line["level"], line["pid"], line["exit_code"]) == ("error", victim, -signal.SIGKILL)
        after = children(service.process.pid)
        assert (len(after), victim in after) == (2, False)
        assert service.predict("snow")[0] == 200
        until(lambda: service.metric("textgate_predictions_total") == 21)  # counted once the answer is on its way
        assert list(tmp_path.glob("textgate-metrics-*/*.db")) != []
        assert list(tmp_path.glob(f"textgate-metrics-*/gauge_live*_{victim}.db")) == []
        assert service.stop() == 0
        assert all(gone(pid) for pid in after)
        assert list(tmp_path.glob("textgate-metrics-*")) == []


def test_workers__end_with_their_supervisor(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, listen={"workers": 2}) as service:
        ready(service, 2)
        workers = children(service.process.pid)
        service.kill()
        until(lambda: all(gone(pid) for pid in workers))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(service.address)


def test_workers__of_a_supervisor_that_was_killed_do_not_keep_another_one_from_starting(tmp_path, bundle):
    listen = {"workers": 2, "notice_seconds": 1.5}  # in which they still answer
    with ServeProcess(tmp_path / "first", bundle, listen=listen) as service:
        ready(service, 2)
        service.kill()
        with ServeProcess(tmp_path / "second", bundle, port=service.address[1], listen=listen) as other:
            assert other.predict("snow")[0] == 200
            assert other.stop() == 0


def test_workers__wait_for_a_port_that_is_taken_and_say_so(tmp_path, bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with ServeProcess(tmp_path, bundle, port=port, wait=False, **TWO) as service:
            until(lambda: service.log() != [])
            taken.close()
            service.wait_until_ready()
            (line,) = [line for line in service.log() if line.get("message") == "the port is taken, it is waited for"]
            assert (line["level"], line["address"]) == ("warning", f"{host}:{port}")
            assert service.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_workers__answer_what_was_accepted_and_close_their_audit_log(tmp_path, bundle, number):
    with ServeProcess(tmp_path, bundle, listen={"workers": 2, "notice_seconds": 0.5}) as service:
        ready(service, 2)
        with socket.create_connection(service.address, timeout=START_SECONDS) as connection:
            connection.sendall(HEAD)
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # accepted, and its body is waited for
            service.process.send_signal(number)
            until(lambda: service.text().count('"stopping"') == 2)
            connection.sendall(BODY)
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer.lower()
        assert service.process.wait(START_SECONDS) == 0
        said = [line.get("message") for line in service.log()]
        assert said.count("stopped") == 2
        assert "Exception" not in service.text()
        heads = [line["hash"] for line in service.log() if line.get("message") == "audit head"]
        found = verify(tmp_path / "audit", heads)
        assert found.holds
        assert {slot.head.hash for slot in found.slots} <= set(heads)  # the end of each is known


def test_workers__one_that_cannot_start_takes_nobody_along_and_comes_when_it_can(tmp_path, bundle, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    model = shutil.copytree(bundle, tmp_path / "model")
    with ServeProcess(tmp_path, model, **TWO) as service:
        ready(service, 2)
        whole = (model / "tfidf.json").read_bytes()
        (model / "tfidf.json").write_bytes(b"{}")
        others = figures(tmp_path) - children(service.process.pid)
        os.kill(victim := min(children(service.process.pid)), signal.SIGKILL)
        until(lambda: "a worker could not start, it will be tried again; others answer" in service.text())
        assert service.predict("snow")[0] == 200
        assert service.get("/ready")[0] == 200
        until(lambda: figures(tmp_path) - children(service.process.pid) - others == {victim})  # one may be trying again
        (model / "tfidf.json").write_bytes(whole)
        ready(service, 3)
        until(lambda: service.metric("textgate_ready") == 1)
        assert len(children(service.process.pid)) == 2
        assert service.stop() == 0


def test_workers__one_that_is_taken_away_is_no_longer_counted(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, **TWO) as service:
        ready(service, 2)
        service.process.send_signal(signal.SIGTTOU)
        until(lambda: len(children(service.process.pid)) == 1)
        until(lambda: service.metric("textgate_ready") == 1)
        service.process.send_signal(signal.SIGTTIN)
        ready(service, 3)
        until(lambda: service.metric("textgate_ready") == 1)
        assert service.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup__is_ignored_under_nohup(tmp_path, bundle, workers):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does before it starts something
    try:
        service = ServeProcess(tmp_path, bundle, wait=False, listen={"workers": workers})
    finally:
        signal.signal(signal.SIGHUP, before)
    with service:
        ready(service, workers)
        for pid in {service.process.pid, *children(service.process.pid)}:
            ignored = re.search(r"SigIgn:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())[1]
            assert int(ignored, 16) >> (signal.SIGHUP - 1) & 1
        assert service.stop() == 0


def test_workers__one_that_hangs_keeps_no_signal_waiting(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, **TWO) as service:
        ready(service, 2)
        os.kill(hung := min(children(service.process.pid)), signal.SIGSTOP)
        time.sleep(1.5)  # it is asked twice a second
        service.process.send_signal(signal.SIGTERM)
        until(lambda: '"stopping"' in service.text(), 20)
        os.kill(hung, signal.SIGCONT)
        assert service.process.wait(START_SECONDS) == 0


@pytest.mark.long
def test_workers__one_that_hangs_is_replaced(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, **TWO) as service:
        ready(service, 2)
        os.kill(hung := min(children(service.process.pid)), signal.SIGSTOP)
        until(lambda: hung not in children(service.process.pid))
        ready(service, 3)
        assert "a worker ended, another one is started" in service.text()
        assert service.stop() == 0
