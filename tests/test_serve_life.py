"""How the service starts, ends, and gets over what happens in between."""

import contextlib
import http.client
import json
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.serve_process import HOUR, ROOT, START_SECONDS, ServeProcess, config_file, read_all, small_bundle, until

LONG = {"text": " ".join(f"word{number}" for number in range(25))}  # is explained by as many answers as may be
JSON = {"Content-Type": "application/json"}
BODY = b'{"text": "snow"}'
HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BODY)
)
NOTICE_S = 6.0  # longer than a machine stands still now and then


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return small_bundle(tmp_path_factory.mktemp("model") / "bundle")


def explaining(evaluations=10_000_000, **listen):
    """Sections of a service whose /explain of a long text takes so many answers, or goes on for ever."""
    return {"explain": {"evaluations": evaluations}, "listen": listen}


@contextlib.contextmanager
def accepted(service):
    """Yield the connection of a request that was let in and whose body is waited for."""
    with socket.create_connection(service.address, timeout=START_SECONDS) as connection:
        connection.sendall(HEAD)
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        yield connection


def sent(service, path, body):
    """Send a request and return the connection, on which the answer will come."""
    connection = http.client.HTTPConnection(*service.address, timeout=START_SECONDS)
    connection.request("POST", path, json.dumps(body), JSON)
    until(lambda: service.metric("textgate_requests_total", endpoint="/metrics") >= 1)  # so ours was read before
    return connection


def most_memory(service):
    """Return the most that a service ever held, in kB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{service.process.pid}/status").read_text())[1])


def ask_on(service):
    """Ask until nobody is let in: those who have not heard the no of /ready yet."""
    while True:
        assert service.predict("snow")[0] == 200


def test_sigterm__first_ready_says_no_then_nobody_is_let_in_and_what_was_accepted_is_answered(tmp_path, bundle):
    listen = {"notice_seconds": NOTICE_S}
    with ServeProcess(tmp_path, bundle, listen=listen) as service, accepted(service) as connection:
        signalled = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.get("/ready")[0] == 503)
        with pytest.raises(OSError):
            ask_on(service)
        assert time.monotonic() - signalled > NOTICE_S * 0.9
        connection.sendall(BODY)
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer.lower()
        assert service.process.wait(START_SECONDS) == 0
        assert [line.get("message") for line in service.log()][-1] == "stopped"


def test_sigterm__what_takes_too_long_is_told_so(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, **explaining(drain_seconds=1)) as service:
        connection = sent(service, "/explain", LONG)
        service.process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["detail"]) == (503, "The service is stopping.")
        assert service.process.wait(START_SECONDS) == 0


def test_sigterm__under_load_a_client_that_minds_connection_close_loses_nothing(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, listen={"notice_seconds": NOTICE_S}) as service:
        answers, errors = [], []

        def ask_until_told_to_leave():
            connection = http.client.HTTPConnection(*service.address, timeout=START_SECONDS)
            try:
                while True:
                    connection.request("POST", "/predict", '{"text": "snow"}', JSON)
                    answer = connection.getresponse()
                    answer.read()
                    answers.append(answer.status)
                    if answer.headers["Connection"] == "close":
                        return
            except OSError as error:
                errors.append(error)

        threads = [threading.Thread(target=ask_until_told_to_leave) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) > 100)
        assert service.stop() == 0
        for thread in threads:
            thread.join()
        assert (errors, set(answers)) == ([], {200})


def test_sighup__of_a_terminal_that_is_closed_ends_it_in_order(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle) as service, accepted(service) as connection:
        service.process.send_signal(signal.SIGHUP)
        until(lambda: '"stopping"' in service.text())
        connection.sendall(BODY)
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")
        assert service.process.wait(START_SECONDS) == 0
        assert service.log()[-1]["message"] == "stopped"


def test_sigint__ends_it_at_once_and_without_a_traceback(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, listen={"notice_seconds": HOUR}) as service:
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(START_SECONDS) == 0
        assert "Traceback" not in service.text()


def test_client__that_goes_away_frees_its_place(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, **explaining()) as service:
        connection = sent(service, "/explain", LONG)
        assert service.post("/explain", {"text": "snow"})[0] == 503  # there is one place
        connection.close()
        until(lambda: service.post("/explain", {"text": "snow"})[0] == 200)
        until(lambda: service.metric("textgate_requests_total", endpoint="/explain", status="499") == 1)
        assert "Traceback" not in service.text()


def test_header__without_end_behind_a_request_that_is_being_answered_is_not_kept(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle, **explaining(10_000)) as service:
        before = most_memory(service)
        body = json.dumps(LONG).encode()
        ask = b"POST /explain HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        with socket.create_connection(service.address, timeout=START_SECONDS) as connection:
            connection.sendall(ask % (len(body), body) + b"GET / HTTP/1.1\r\nX: ")
            with contextlib.suppress(ConnectionError):  # once the first is answered
                for _ in range(400):
                    connection.sendall(b"y" * 100_000)
            read_all(connection)
        assert service.metric("textgate_requests_total", endpoint="/explain", status="200") == 1
        assert most_memory(service) < before + 20_000


def test_audit__that_cannot_be_written_keeps_answers_back_until_it_can(tmp_path, bundle):
    with ServeProcess(tmp_path, bundle) as service:
        many = {"texts": ["snow"] * 32}
        for _ in range(3):
            assert service.post("/predict", many)[0] == 200
        (segment,) = (tmp_path / "audit").rglob("*.jsonl")
        assert segment.stat().st_size > 2 * (tmp_path / "serve.log").stat().st_size  # which goes on being written
        full = (segment.stat().st_size, resource.RLIM_INFINITY)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, full)
        status, headers, body = service.post("/predict", many)
        assert (status, json.loads(body)["detail"]) == (503, "The answer could not be recorded.")
        assert headers["Retry-After"] == "5"
        assert json.loads(service.get("/ready")[2])["detail"] == "Answers cannot be recorded."
        assert service.metric("textgate_audit_failures_total") == 1
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        until(lambda: service.get("/ready")[0] == 200)
        assert service.post("/predict", many)[0] == 200


def start(*arguments):
    """Run scripts/serve.py, which is to fail; return the exit code and what it says on stderr."""
    command = [sys.executable, "scripts/serve.py", "--port", "0", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr, done.stdout


def test_start__without_a_model_says_which_and_what_to_do(tmp_path):
    audit = {"folder": str(tmp_path / "audit")}
    code, said, _ = start("--config", config_file(tmp_path / "serve.yaml", audit=audit), "--model", tmp_path / "none")
    assert code == 2
    assert said == f'cannot tell: {tmp_path}/none is missing: run "make train" first, or name a bundle folder\n'


def test_start__a_link_to_itself_is_no_model(tmp_path):
    (tmp_path / "champion").symlink_to("champion")
    audit = {"folder": str(tmp_path / "audit")}
    config = config_file(tmp_path / "serve.yaml", audit=audit)
    code, said, _ = start("--config", config, "--model", tmp_path / "champion")
    assert code == 2
    assert said == f"cannot tell: {tmp_path}/champion is a circle of links: let it point to a folder\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_start__an_altered_model_is_refused(tmp_path, workers):
    folder = small_bundle(tmp_path / "bundle")
    file = max(folder.iterdir(), key=lambda path: path.stat().st_size * (path.name != "manifest.json"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    audit = {"folder": str(tmp_path / "audit")}
    config = config_file(tmp_path / "serve.yaml", listen={"workers": workers}, audit=audit)
    code, said, _ = start("--config", config, "--model", folder)
    assert code == 1
    line = f"refused: {folder}: {file.name} is not the file that was sealed: restore it or train again\n"
    assert said == line


def test_start__a_port_that_is_taken_is_named(tmp_path, bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = config_file(tmp_path / "serve.yaml")
        code, said, _ = start("--config", config, "--model", bundle, "--port", port)
    assert code == 2
    assert said == f"cannot tell: 127.0.0.1:{port}: Address already in use: choose another listen.host or --port\n"


def test_start__a_host_that_is_none_is_named(tmp_path, bundle):
    config = config_file(tmp_path / "serve.yaml", listen={"host": "not a host"})
    code, said, _ = start("--config", config, "--model", bundle)
    assert code == 2
    assert said == "cannot tell: not a host:0: no such host: choose another listen.host or --port\n"


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_start__a_port_that_is_none_is_one_line(port):
    code, said, _ = start(f"--port={port}")
    assert code == 2
    assert said.endswith(f"serve.py: error: argument --port: {port} is no port: 0 to 65535\n")
    assert len(said) < 500


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"listen": {"porto": 1}}, "listen.porto: unknown key (known: host, port, workers, "),
        ({"limits": {"texts": 0}}, "limits.texts: Input should be greater than or equal to 1 (found '0')"),
        (
            {"listen": {"host": ""}},
            "listen.host: name an address of this machine, such as 127.0.0.1; 0.0.0.0 means all",
        ),
        ({"listen": {"host": "é" * 80}}, "listen.host: name an address of this machine, such as 127.0.0.1; 0.0.0.0 "),
        ({"models": {"champion": "a\0b"}}, r"models.champion: String should match pattern '^[^\x00]*$' (found "),
        ({"audit": {"folder": "a\0b"}}, r"audit.folder: String should match pattern '^[^\x00]*$' (found "),
        (
            {"access": {"clients": {"kind": "keys", "file": "a\0b"}}},
            r"access.clients.file: String should match pattern '^[^\x00]*$' (found ",
        ),
        ({"listen": {"proxies": ["*"]}}, "listen.proxies.0: must be an address or a network, such as 10.0.0.7 or 10."),
        ({"listen": {"proxies": ["10.0.0.7/8"]}}, "listen.proxies.0: must be an address or a network, such as 10."),
        ({"listen": {"workers": 1_000_000_000}}, "listen.workers: Input should be less than or equal to 256"),
        ({"listen": {"header_seconds": 5000}}, "listen.header_seconds: Input should be less than or equal to 3600 "),
        ({"audit": {"keep_days": 1_000_000}}, "audit.keep_days: Input should be less than or equal to 36500 "),
        ({"split": {"kind": "split"}}, "split: share must be above 0, or kind none"),
        (
            {"split": {"kind": "split", "share": 0.1}},
            "the file: split needs models.challenger: name one, or take kind none",
        ),
    ],
)
def test_start__a_broken_config_names_the_key(tmp_path, sections, said):
    code, found, _ = start("--config", config_file(tmp_path / "serve.yaml", **sections))
    assert code == 2
    assert found.startswith(f"cannot tell: {tmp_path}/serve.yaml: {said}")
    assert found.count("\n") == 1


def test_start__no_place_for_the_audit_log_is_said(tmp_path, bundle):
    (tmp_path / "file").touch()
    for workers in (1, 2):
        audit, listen = {"folder": str(tmp_path / "file")}, {"workers": workers}
        config = config_file(tmp_path / "serve.yaml", audit=audit, listen=listen)
        code, said, log = start("--config", config, "--model", bundle)
        assert code == 2
        assert said.count("\n") == 1
        assert f"{tmp_path}/file" in said + log
