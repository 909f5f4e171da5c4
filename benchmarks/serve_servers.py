"""The servers that are compared: each a process group on the same cores, ready when it has answered a text."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from harness import ROOT
from serve_models import FOLDER, TRAIN, Models

from textgate.errors import CannotTell

SERVE, BENCH = ROOT / ".venv-serve" / "bin", ROOT / ".venv-bench" / "bin"
PEERS = ROOT / "benchmarks" / "peers"
START_SECONDS = 120.0
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = frozenset(CORES[:2])
LOAD_CORES = frozenset(CORES[2:] or CORES)
# Ours is one process for the transformer, as configs/serve.yaml has it, and for the linear model one for each core, as
# docs/serving.md says; the peers get one for each core, without which they are slower.
# Batch, wait (LitServe: seconds to wait for more; BentoML: milliseconds after which a request is turned away) and
# workers of the peers. Two workers with a thread each, as our lanes have; LitServe's fast_queue is on, BentoML's access
# log and metrics are off.
LIT = {"onnx": ("16", "0.001", "2"), "linear": ("16", "0.001", "2")}
BENTO = {"onnx": ("16", "1000", "2"), "linear": ("64", "1000", "2")}


@dataclass(frozen=True)
class Server:
    """How one is started; PORT in its command and environment becomes the port."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    lists: bool = False  # takes {"texts": [text]} and not {"text": text}


@dataclass(frozen=True)
class Running:
    """A server that has answered."""

    port: int
    group: int  # of its processes

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run for as long as the context lasts, and hold it until the next: even an idle one takes turns."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            yield
        finally:
            os.killpg(self.group, signal.SIGSTOP)


def servers(models: Models) -> dict[str, Server]:
    """Return all of them by name."""
    known = {"BENCH_ONNX": str(models.transformer), "BENCH_TORCH": str(models.torch), "BENCH_DATA": str(TRAIN)}
    found = {"null": Server((str(SERVE / "python"), "benchmarks/peers/null_app.py", "null", "PORT"))}
    for kind, folder in {"transformer": models.transformer, "tfidf": models.tfidf}.items():
        config = _config(kind)
        ours = ("scripts/serve.py", "--config", str(config), "--model", str(folder), "--port", "PORT")
        found[f"ours {kind}"] = Server((str(SERVE / "python"), *ours))
        plain = (str(SERVE / "python"), "benchmarks/peers/unbatched_app.py", str(folder), "PORT")
        found[f"unbatched {kind}"] = Server((*plain, "thread" if kind == "transformer" else "loop"))
        peer = {"transformer": "onnx", "tfidf": "linear"}[kind]
        lit = ("benchmarks/peers/litserve_app.py", peer, "PORT", *LIT[peer])
        found[f"litserve {kind}"] = Server((str(BENCH / "python"), *lit), known)
        batch, wait, workers = BENTO[peer]
        settings = {"BENCH_KIND": peer, "BENCH_BATCH": batch, "BENCH_WAIT_MS": wait, "BENCH_WORKERS": workers}
        bento = (
            "serve",
            "bento_app:Classifier",
            "--working-dir",
            str(PEERS),
            "--host",
            "127.0.0.1",
            "-p",
            "PORT",
            "-q",
        )
        found[f"bentoml {kind}"] = Server((str(BENCH / "bentoml"), *bento), known | settings, lists=True)
    found["blocking transformer"] = Server((*found["unbatched transformer"].command[:-1], "loop"))
    plain = ("benchmarks/peers/plain_app.py", "pipeline", "PORT")
    found["pipeline"] = Server((str(BENCH / "python"), *plain), known)
    return found


def _config(kind: str) -> Path:
    """Write configs/serve.yaml with an audit log of its own, and so many workers."""
    config = yaml.safe_load((ROOT / "configs" / "serve.yaml").read_text(encoding="utf-8"))
    config["listen"]["workers"] = {"transformer": 1, "tfidf": len(SERVER_CORES)}[kind]
    config["audit"]["folder"] = str(FOLDER / "audit" / kind)
    path = FOLDER / f"serve-{kind}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@contextlib.contextmanager
def running(name: str, server: Server) -> Iterator[Running]:
    """Start a server, yield it once it answers, and end its whole process group."""
    port = _free_port()
    command = [str(port) if part == "PORT" else part for part in server.command]
    environment = {
        **os.environ,
        "PYTHONUTF8": "1",
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    log = FOLDER / "logs" / f"{name.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment | dict(server.environment),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, SERVER_CORES),  # noqa: PLW1509 - no thread of ours runs yet
        )
    try:
        _wait(name, server, port, process, log)
        yield Running(port, process.pid)
    finally:
        _end(process)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _wait(name: str, server: Server, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if answers(server, port):
            return
        time.sleep(0.1)
    raise CannotTell(f"{name} does not answer: {log} may say why")


def answers(server: Server, port: int) -> bool:
    """Say whether a server answers one text with 200."""
    body = '{"texts": ["Slå av lyset i stua"]}' if server.lists else '{"text": "Slå av lyset i stua"}'
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/predict", body.encode(), {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what we started: the group is its own, because it began a session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
