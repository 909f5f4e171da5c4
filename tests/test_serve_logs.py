"""The service's own log, when nobody can write it any more: answers are given all the same."""

import http.client
import json
import subprocess
import sys
import urllib.parse

import pytest
from tests.serve_process import ROOT, config_file, small_bundle

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def unread(tmp_path):
    """Start a service, read its first lines, and then close the pipe that its log goes to; give its address."""
    config = config_file(tmp_path / "serve.yaml", audit={"folder": str(tmp_path / "audit")})
    options = ["--config", config, "--model", small_bundle(tmp_path / "bundle"), "--port", "0"]
    command = [sys.executable, "scripts/serve.py", *map(str, options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        while not any(line.get("message") == "ready" for line in lines):
            lines.append(json.loads(process.stdout.readline()))
        process.stdout.close()
        yield urllib.parse.urlsplit(lines[0]["address"]).netloc, process
        process.kill()


def test_log__that_nobody_reads_any_more_costs_no_answer_and_no_connection(unread):
    address, process = unread
    connection = http.client.HTTPConnection(address, timeout=30)
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
        address = urllib.parse.urlsplit(json.loads(process.stdout.readline())["address"]).netloc
        connection = http.client.HTTPConnection(address, timeout=30)
        for _ in range(600):  # a pipe holds 64 kB: some 300 lines
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b'{"status":"alive"}'
        process.terminate()
        lines = [json.loads(line) for line in process.stdout]
        assert process.wait() == 0
    assert 0 < sum(line.get("endpoint") == "/health" for line in lines) < 600
