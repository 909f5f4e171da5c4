"""The real service as a process of its own, on a free port of this machine."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml
from tests.project import EXAMPLE
from tests.small import fit_tfidf, seal_small

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 300  # on a busy machine
HOUR, NOTICE_S = 3600, 0.05
PATIENT = {  # no limit in time ends what a test is not about, however slow the machine or long it stands still
    "listen": {
        "header_seconds": HOUR,
        "body_seconds": HOUR,
        "keep_alive_seconds": HOUR,
        "drain_seconds": HOUR,
        "notice_seconds": NOTICE_S,
    },
    "limits": {"wait_ms": HOUR * 1000},
    "explain": {"seconds": HOUR},
}


def small_bundle(folder, seed=1):
    """Seal a bundle of made-up words, north or south; another seed gives another digest."""
    folder.mkdir(parents=True)
    fit_tfidf(seed).save(folder)
    seal_small(folder)
    return folder


def config_file(path, **sections):
    """Write the example of configs/serve.yaml with other values in some sections, such as `limits={"texts": 3}`."""
    config = yaml.safe_load((EXAMPLE / "serve.yaml").read_text())
    for section, values in sections.items():
        config[section] |= values
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


def until(true, seconds=START_SECONDS):
    """Wait for something that happens by itself."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


class ServeProcess:
    """scripts/serve.py; ready when it is made. Its audit log lies in `folder`/audit unless `audit` says another."""

    def __init__(self, folder, model, *, port=0, python=sys.executable, wait=True, patient=True, **sections):
        """Start it; `wait=False` does not wait until it is ready, `patient=False` keeps the limits in time."""
        self.folder = Path(folder)
        usual = PATIENT if patient else {"listen": {"notice_seconds": NOTICE_S}}
        for section, values in {"audit": {"folder": str(self.folder / "audit")}, **usual}.items():
            sections[section] = values | sections.get(section, {})
        config = config_file(self.folder / "serve.yaml", **sections)
        self._log = self.folder / "serve.log"
        self._log.touch()
        self._begins = self._log.stat().st_size
        command = [python, str(ROOT / "scripts/serve.py"), "--config", config, "--model", model, "--port", str(port)]
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUTF8": "1"}
            )
        self.url = ""
        if wait:
            self.wait_until_ready()

    def __enter__(self):
        """Return itself."""
        return self

    def __exit__(self, *_):
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def wait_until_ready(self):
        """Wait for /ready; an early end is an error that shows the log."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if self._answers_ready():
                return
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the service did not start:\n{self.text()}")

    def _answers_ready(self):
        if not (found := re.search(r'"address": "(http://[^"]+)"', self.text())):
            return False
        self.url = found[1]
        try:
            return self.get("/ready")[0] == 200
        except OSError:
            return False

    @property
    def address(self):
        """Host and port, for a raw socket."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def get(self, path, headers=None):
        """Return (status, headers, body bytes)."""
        return ask(self.url + path, headers=headers)

    def post(self, path, body, headers=None):
        """Send bytes, or anything else as JSON; return (status, headers, body bytes)."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return ask(self.url + path, content, {"Content-Type": "application/json"} | (headers or {}))

    def predict(self, text, **headers):
        """Return (status, JSON) for one text."""
        status, _, body = self.post("/predict", {"text": text}, headers)
        return status, json.loads(body)

    def metric(self, name, **labels):
        """Return the sum of a figure of /metrics over all that carry these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in self.get("/metrics")[2].decode().splitlines() if re.match(rf"{name}[ {{]", line)]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in wanted))

    def raw(self, *parts, end=False):
        """Send bytes over a connection of their own; return all that comes back until the server hangs up.

        `end` says that nothing more will be sent, as a client that closes does.
        """
        with socket.create_connection(self.address, timeout=START_SECONDS) as connection:
            with contextlib.suppress(ConnectionError):  # hung up before it had all
                for part in parts:
                    connection.sendall(part)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def stop(self, seconds=START_SECONDS):
        """SIGTERM; return the exit code when the process has ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        """SIGKILL, as a machine that runs out of memory does."""
        self.process.kill()
        self.process.wait()

    def text(self):
        """Return what this process wrote so far, stdout and stderr."""
        return self._log.read_bytes()[self._begins :].decode("utf-8", "replace")

    def log(self):
        """Return the log's lines as dicts; what is no JSON as {"line": …}. Half a line is one that is being written."""
        whole, _, _ = self.text().rpartition("\n")
        return [_parsed(line) for line in whole.splitlines()]


def read_all(connection):
    """Read until the other side hangs up."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


def _parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return {"line": line}


def ask(url, body=None, headers=None):
    """Return (status, headers, body bytes), errors as well."""
    request = urllib.request.Request(url, body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
