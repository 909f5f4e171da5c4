"""A cluster to score on: one that somebody runs, or one of this machine alone that ends with us."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import textgate
from textgate.errors import CannotTell
from textgate.models.processors import processors

if TYPE_CHECKING:
    from psutil import Process

REACH_SECONDS = 10  # to open a connection: Ray itself tries for minutes
ROUNDS = 5  # of killing who began meanwhile
END_SECONDS = 2  # from the end of the last that Ray waits for to that of the others
LOCAL = {
    "RAY_AUTH_MODE": "token",  # who else works on this machine could otherwise run code as us
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # as on those two, listen on 127.0.0.1 and nowhere else
}


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one here if no address is given, for as long as the context lasts.

    Raises CannotTell if there is none, or one of another version. May hang where something else than Ray listens.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with contextlib.ExitStack() as stack:
        if address is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
            stack.callback(_end, folder)
            _start(folder)
        else:
            _connect(address)
            import ray

            stack.callback(ray.shutdown)
        yield


def machines() -> list[tuple[str, int]]:
    """Return the id of each living node, and how many processors Ray may give away there."""
    import ray

    return [(node["NodeID"], int(node["Resources"].get("CPU", 0))) for node in ray.nodes() if node["Alive"]]


def _start(folder: str) -> None:
    os.environ.update(LOCAL, RAY_AUTH_TOKEN=secrets.token_hex(32), TMPDIR=folder)
    import ray

    ray.init(
        address="local",
        num_cpus=processors(),
        include_dashboard=False,
        log_to_driver=False,
        runtime_env=_code(),
        _node_ip_address="127.0.0.1",
        _temp_dir=folder,
    )


def _end(folder: str) -> None:
    """End it, and what it leaves behind on a busy machine: Ray kills its processes before they have ended theirs."""
    import psutil
    import ray

    known = psutil.Process().children(recursive=True)
    ray.shutdown()
    psutil.wait_procs(known, END_SECONDS)
    for _ in range(ROUNDS):
        left = [process for process in {*known, *began_in(folder)} if _runs(process)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, END_SECONDS)
        if not left:
            break


def _runs(process: Process) -> bool:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def began_in(folder: str) -> list[Process]:
    """Return the processes whose folder of temporary files it is, also those begun while others ended.

    Ray's workers are not among them: they write their title over the environment that they were begun with.
    """
    import psutil

    found = psutil.process_iter(["environ"])  # None where it is not ours to read, or ended
    return [process for process in found if (process.info["environ"] or {}).get("TMPDIR") == folder]


def _connect(address: str) -> None:
    _reach(address)
    import ray

    try:
        ray.init(address=address, log_to_driver=False, runtime_env=_code())
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CannotTell(f"--address {address}: {reason}") from error


def _reach(address: str) -> None:
    """Find out quickly whether anybody listens."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        if address == "auto":
            return
        raise CannotTell(f"--address {address}: not auto, HOST:6379 or ray://HOST:10001")
    try:
        socket.create_connection((host, port), REACH_SECONDS).close()
    except OSError as error:
        reason = error.strerror or error
        raise CannotTell(
            f"--address {address}: nobody listens there ({reason}): is the cluster up, and open to us?"
        ) from error


def _code() -> dict[str, list[str]]:
    """Have the workers run this textgate, whatever is installed there."""
    return {"py_modules": [str(Path(textgate.__file__).parent)], "excludes": ["__pycache__"]}
