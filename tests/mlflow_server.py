"""A server of MLflow's own making, for as long as a block runs."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.kept_port import kept_port


@contextmanager
def mlflow_server(folder: Path, log: Path, *options: str) -> Iterator[str]:
    """Run `mlflow` with these options in a folder; yield its address when it answers."""
    command = [sys.executable, "-m", "mlflow", *options, "--host", "127.0.0.1", "--workers", "1", "--port"]
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with kept_port() as port, log.open("w") as said:
        process = subprocess.Popen(
            [*command, str(port)], cwd=folder, env=quiet, stdout=said, stderr=said, start_new_session=True
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):  # it may have failed to start
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 600
    while not _answers(address):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.25)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/health", timeout=60).close()
    except OSError:
        return False
    return True
