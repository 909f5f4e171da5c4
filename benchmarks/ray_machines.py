"""A Ray cluster on this machine, whose machines have one core each: `python ray_machines.py CORE...`, in .venv-ray.

Prints the cluster's two addresses, then "joined" for each machine, and ends when standard input does. The head has no
processor to give. Everything listens on 127.0.0.1. The one who starts it sets RAY_AUTH_TOKEN.
"""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

os.environ |= {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on 127.0.0.1
    "RAY_USAGE_STATS_ENABLED": "0",
}

from ray.cluster_utils import Cluster  # reads the environment


def main() -> None:
    """Start, wait, end."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Ray talks
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["RAY_TMPDIR"] = folder
        Path(folder, "ray").mkdir()
        found = Cluster()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        found.add_node(num_cpus=0, include_dashboard=False, node_ip_address="127.0.0.1", ray_client_server_port=port)
        print(found.address, f"ray://127.0.0.1:{port}", file=out, flush=True)
        for core in sys.argv[1:]:
            os.sched_setaffinity(0, {int(core)})  # what is started inherits it
            found.add_node(num_cpus=1, node_ip_address="127.0.0.1")
            print("joined", file=out, flush=True)
        sys.stdin.read()
        found.shutdown()


if __name__ == "__main__":
    main()
