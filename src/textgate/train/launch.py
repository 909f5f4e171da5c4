"""Starts the training in several processes on this machine, with torchrun's launcher, if the experiment asks for it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

from textgate.choose import Choice
from textgate.config import Transformer
from textgate.errors import CannotTell
from textgate.models.processors import processors

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig

AGAIN = "run the same command again: it goes on behind the last whole epoch"
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def wanted(choice: Choice) -> int:
    """Return how many processes are to be started for this choice: 1 if none, or if torchrun started this one.

    Raises CannotTell if an experiment asks for more than there are GPUs, or processors where no GPU is used.
    """
    models = [experiment.model for experiment in choice.experiments.values()]
    asked = [model.processes for model in models if isinstance(model, Transformer)]
    if "WORLD_SIZE" in os.environ or set(asked) <= {1}:
        return 1
    import torch

    from textgate.train.devices import choose_device

    gpus = torch.cuda.device_count() if choose_device(choice.train.device) == "cuda" else 0
    count = max(max(1, gpus) if number == "auto" else number for number in asked)
    have, what = (gpus, "GPUs") if gpus else (processors(), "processors")
    if 1 < count > have:  # each loads the weights: a wrong number would take the machine's memory
        raise CannotTell(
            f"the experiment says processes: {count}, but there are {have} {what} here: write fewer, or auto"
        )
    return count


def start(count: int, script: Path) -> int:
    """Run a script in so many processes and return its exit code; what the first one prints is shown.

    Raises CannotTell if one was killed, or ended without the first one having said why; the others are ended then.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    logging.disable(logging.CRITICAL)  # the launcher's own words on what is said below
    os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)  # nobody else is to hear, or to be heard
    with tempfile.TemporaryDirectory() as folder:
        note = Path(os.environ.setdefault("TEXTGATE_REASON", str(Path(folder) / "reason")))
        try:
            elastic_launch(_config(count, Path(folder)), sys.executable)("-u", str(script))
        except ChildFailedError as error:
            if note.is_file():  # the first process has said why
                return int(note.read_text(encoding="utf-8").split()[0])
            raise CannotTell(f"{_what_happened(error, count, Path(folder))}: {AGAIN}") from error
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                return 130  # the first process was interrupted too, and has said so
            raise CannotTell(f"the training was ended by {error.sigval.name}: {AGAIN}") from error
        finally:
            _end_all()
    return 0


def _end_all() -> None:
    """End what the launcher has left: while it still starts processes, a signal makes it forget them."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _config(count: int, logs: Path) -> LaunchConfig:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(str(logs), redirects=dict.fromkeys(range(1, count), Std.ALL)),
    )


def _what_happened(error: ChildFailedError, count: int, logs: Path) -> str:
    """Say which process ended first, and how: killed, else with the last line that it wrote."""
    ends = {rank: failure.exitcode for rank, failure in error.failures.items()}
    # The launcher ends the others by SIGTERM; one that has lost another ends by itself, and the first loses most often.
    rank = min(ends, key=lambda rank: (ends[rank] == -signal.SIGTERM, ends[rank] > 0, -rank))
    failure = error.failures[rank]
    who = f"process {rank + 1} of {count}"
    if failure.exitcode < 0:
        return f"{who} was ended by {failure.signal_name()}"
    texts = (log.read_text(encoding="utf-8", errors="replace") for log in logs.glob(f"*/attempt_0/{rank}/stderr.log"))
    said = "".join(texts).splitlines()
    return f"{who} ended with {failure.exitcode}" + (f" ({said[-1][:300]})" if said else "")
