"""Where fine-tuning stands after a whole epoch, as one safetensors file: never a pickle, never half-written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from textgate.evidence import Epoch
from textgate.files import write_atomically

Tensors = Mapping[str, torch.Tensor]
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW remembers of each parameter


@dataclass(frozen=True)
class Checkpoint:
    """History so far, the weights of the best epoch, and how many epochs ago that was."""

    epochs: tuple[Epoch, ...]
    best: Tensors
    since_best: int

    @classmethod
    def fresh(cls, trainable: Tensors) -> Checkpoint:
        """Return the state before the first epoch."""
        return cls((), _copy(trainable), 0)

    def after(self, epoch: Epoch, trainable: Tensors) -> Checkpoint:
        """Return the state after one more epoch; ties keep the earlier weights."""
        if epoch.valid_macro_f1 > max((seen.valid_macro_f1 for seen in self.epochs), default=-1.0):
            return Checkpoint((*self.epochs, epoch), _copy(trainable), 0)
        return Checkpoint((*self.epochs, epoch), self.best, self.since_best + 1)


def store(path: Path, state: Checkpoint, trainable: Tensors, optimiser: torch.optim.Optimizer) -> None:
    """Write weights, best weights, optimiser state and history in one rename."""
    tensors = {f"now.{name}": value.detach() for name, value in trainable.items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    for name, value in trainable.items():
        tensors |= {f"{moment}.{name}": optimiser.state[value][moment] for moment in MOMENTS}
    history = [epoch.model_dump() for epoch in state.epochs]
    metadata = {"epochs": json.dumps(history), "since_best": str(state.since_best)}
    contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary, metadata))


def restore(path: Path, trainable: Tensors, optimiser: torch.optim.Optimizer) -> Checkpoint | None:
    """Load a checkpoint into the model and the optimiser, or return None if there is none that fits."""
    if not path.is_file():
        return None
    try:
        epochs, since_best, found = _read(path, trainable)
    except (SafetensorError, KeyError, TypeError, ValueError):
        path.unlink()  # cut short by a full disk or made by an older version: start over
        return None
    with torch.no_grad():
        for name, value in trainable.items():
            value.copy_(found[f"now.{name}"])
            moments = {moment: found[f"{moment}.{name}"] for moment in MOMENTS}
            optimiser.state[value] = {moment: tensor.to(value.device) for moment, tensor in moments.items()}
    return Checkpoint(
        epochs, {name: found[f"best.{name}"].to(value.device) for name, value in trainable.items()}, since_best
    )


def _read(path: Path, trainable: Tensors) -> tuple[tuple[Epoch, ...], int, dict[str, torch.Tensor]]:
    """Read everything before anything is changed, so that a broken file leaves model and optimiser as they were."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        epochs = tuple(Epoch.model_validate(epoch) for epoch in json.loads(metadata["epochs"]))
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        since_best = int(metadata["since_best"])
    for name, value in trainable.items():
        if {found[f"{kind}.{name}"].shape for kind in ("now", "best", *MOMENTS[1:])} != {value.shape}:
            raise ValueError(f"{name} has another shape")
        found[f"step.{name}"]
    return epochs, since_best, found


def _copy(tensors: Tensors) -> Tensors:
    return {name: value.detach().clone() for name, value in tensors.items()}
