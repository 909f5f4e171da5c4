"""The service's own log, when nobody can write it any more: answers are given all the same."""

import http.client
import json
import logging
import select
import shlex
import subprocess
import sys
import urllib.parse

import pytest
from tests.serve_process import ROOT, START_SECONDS, config_file, small_bundle

from textgate.serve import logs

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def unread(tmp_path):
    """Start a service, read its first lines, and then close the pipe that its log goes to; give its address."""
    config = config_file(tmp_path / "serve.yaml", audit={"folder": str(tmp_path / "audit")})
    options = ["--config", config, "--model", small_bundle(tmp_path / "bundle"), "--port", "0"]
    command = [sys.executable, "scripts/serve.py", *map(str, options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = []
            while not any(line.get("message") == "ready" for line in lines):
                lines.append(json.loads(process.stdout.readline()))
            process.stdout.close()
            yield urllib.parse.urlsplit(lines[0]["address"]).netloc, process
        finally:
            process.kill()


def test_log__that_nobody_reads_any_more_costs_no_answer_and_no_connection(unread):
    address, process = unread
    connection = http.client.HTTPConnection(address, timeout=START_SECONDS)
    for _ in range(5):
        connection.request("POST", "/predict", b'{"text": "snow"}', JSON)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, None)
        answer.read()
        ours = connection.sock  # None once the server has closed it
        assert ours is not None
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b'{"status":"alive"}'
        assert connection.sock is ours
    process.terminate()
    assert "Traceback" not in process.stderr.read()


def test_log__that_is_read_too_slowly_holds_nobody_up_and_says_what_it_left_out(tmp_path):
    config = config_file(tmp_path / "serve.yaml", audit={"folder": str(tmp_path / "audit")})
    options = ["--config", config, "--model", small_bundle(tmp_path / "bundle"), "--port", "0"]
    command = [sys.executable, "scripts/serve.py", *map(str, options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = urllib.parse.urlsplit(json.loads(process.stdout.readline())["address"]).netloc
            connection = http.client.HTTPConnection(address, timeout=START_SECONDS)
            for _ in range(600):  # a pipe holds 64 kB: some 300 lines
                connection.request("GET", "/health")
                assert connection.getresponse().read() == b'{"status":"alive"}'
            process.terminate()
            lines = [json.loads(line) for line in process.stdout]
            assert process.wait() == 0
        finally:
            process.kill()
    assert 0 < sum(line.get("endpoint") == "/health" for line in lines) < 600


def test_log__a_closed_standard_output_is_said(tmp_path):
    config = config_file(tmp_path / "serve.yaml", audit={"folder": str(tmp_path / "audit")})
    options = ["--config", config, "--model", small_bundle(tmp_path / "bundle"), "--port", "0"]
    command = shlex.join([sys.executable, "scripts/serve.py", *map(str, options)])
    done = subprocess.run(["sh", "-c", f"{command} >&-"], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "cannot tell: standard output is closed: the service logs to it; send it to a file or to /dev/null\n"
    )


def test_log__a_record_that_cannot_be_written_down_fails_nobody(monkeypatch):
    monkeypatch.setattr("logging.raiseExceptions", False)  # as `start` does
    record = logging.LogRecord("asyncio", logging.ERROR, "here.py", 1, "%d", ("a word",), None)
    logs.Out().emit(record)


def test_log__of_an_error_it_has_the_innermost_frames_and_fits_into_a_pipe():
    def deeper(depth):
        return deeper(depth - 1) if depth else 1 / 0

    try:
        deeper(200)
    except ZeroDivisionError:
        record = logging.LogRecord("textgate", logging.ERROR, "here.py", 1, "failed", (), sys.exc_info())
    line = json.loads(logs.JsonLines().format(record))
    assert len(line["at"]) == logs.FRAMES
    assert line["at"][-1].endswith(" deeper")
    assert len(json.dumps(line)) < select.PIPE_BUF


THREADS = """
import sys, threading
from textgate.serve import logs
logs.start()
def write(name):
    for number in range(20_000):
        logs.write({"thread": name, "number": number})
threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
sys.setswitchinterval(1e-6)
for thread in threads: thread.start()
for thread in threads: thread.join()
print(logs.OUT.dropped, file=sys.stderr)
"""


def test_log__is_written_by_several_threads_without_a_broken_line():
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    written = sum("thread" in line for line in lines)
    assert written + sum(line.get("lines", 0) for line in lines) + int(done.stderr) == 80_000
