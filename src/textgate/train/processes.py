"""One training in several processes, as torchrun starts them; or in one, which then talks to nobody.

Each batch is shared out and the gradients are added up, so the model is the one that a single process trains, but for
rounding (Goyal et al. 2017, "Accurate, large minibatch SGD"). That sum is all there is to do: DistributedDataParallel
would take a mean over processes, which is not that of the rows where the shares are uneven.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np

from textgate.errors import CannotTell

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
TOLD = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # by torchrun to each
BLOCK = 1 << 26  # bytes of a file sent at once: a checkpoint can be larger than the memory that is left


@dataclass(frozen=True)
class Processes:
    """How many train this model together, and which of them this is; the first one, rank 0, writes and speaks."""

    rank: int = 0
    count: int = 1

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return every count-th item: together the processes have all of them, each once."""
        return items[self.rank :: self.count]

    def all_reduce(self, values: torch.Tensor) -> None:
        """Put the sum over all processes into each one's tensor, in the same order of adding for all."""
        if self.count > 1:
            from torch import distributed

            _talk(lambda: distributed.all_reduce(values))

    def broadcast(self, values: torch.Tensor) -> None:
        """Put the first process's values into each one's tensor."""
        if self.count > 1:
            from torch import distributed

            _talk(lambda: distributed.broadcast(values, 0))

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Let the first process through this, and then the others: what it refuses is said once."""
        if self.rank:
            self._wait()
        yield
        if not self.rank:
            self._wait()

    def _wait(self) -> None:
        if self.count > 1:
            from torch import distributed

            _talk(distributed.barrier)

    @contextmanager
    def copy_of(self, path: Path) -> Iterator[Path]:
        """Give each process the first one's file, which may be missing; another machine has no such folder."""
        if self.count == 1:
            yield path
            return
        import torch

        size = torch.tensor([path.stat().st_size if not self.rank and path.is_file() else 0])
        self.broadcast(size)
        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder) / path.name if self.rank else path
            if size:
                with own.open("wb" if self.rank else "rb") as file:
                    for start in range(0, int(size), BLOCK):
                        self._pass_on(file, min(BLOCK, int(size) - start))
            yield own

    def _pass_on(self, file: IO[bytes], count: int) -> None:
        import torch

        block = np.zeros(count, np.uint8) if self.rank else np.fromfile(file, np.uint8, count)
        self.broadcast(torch.from_numpy(block))
        if self.rank:
            block.tofile(file)


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the other processes, if torchrun started this one, and leave them at the end.

    `device` is that of configs/train.yaml. Raises CannotTell if GPUs are to be used and this machine has fewer of them,
    or if it was something else that set WORLD_SIZE.
    """
    if "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    if unset := [name for name in TOLD if not os.environ.get(name)]:
        cure = "start several processes with torchrun, or unset WORLD_SIZE for one"
        raise CannotTell(f"WORLD_SIZE is set in the environment, but {', '.join(unset)} not: {cure}")
    import torch
    from torch import distributed

    if cuda := device != "cpu" and torch.cuda.is_available():
        local, cards = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= cards:
            raise CannotTell(f"torchrun started more than {cards} processes, but there are {cards} GPUs: start {cards}")
        torch.cuda.set_device(local)
    _talk(lambda: distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo"))
    rank = distributed.get_rank()
    if rank:
        os.environ.pop("TEXTGATE_REASON", None)  # the first process alone says there why the stage ended
    try:
        yield Processes(rank, distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def _talk(call: Callable[[], object]) -> None:
    """Do what needs all processes; if one of them is gone, end too."""
    try:
        call()
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200]
        if os.environ["WORLD_SIZE"] == os.environ["LOCAL_WORLD_SIZE"]:
            if os.environ["RANK"] != "0":
                print(reason, file=sys.stderr)
            raise SystemExit(2) from error  # whoever started the processes says which one is gone, or this reason
        cure = "look at the other machines, then start it again: it goes on behind the last whole epoch"
        raise CannotTell(f"another process of this training is gone ({reason}): {cure}") from error
