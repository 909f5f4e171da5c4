"""Fine-tuning of a pre-trained encoder in PyTorch: base weights and rows in, an ONNX-backed classifier out.

Devlin et al. (2019), "BERT", for the recipe; the epoch with the best validation macro-F1 is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from transformers import PreTrainedModel

from textgate.config import Transformer
from textgate.errors import CannotTell
from textgate.evidence import Epoch
from textgate.train.checkpoint import Checkpoint, Tensors, restore, store
from textgate.train.devices import precision, to_device
from textgate.train.network import Texts, keep_states, lean_layers, mixed, working_copy
from textgate.train.pretrained import pretrained, token_ids, tokenizer
from textgate.train.processes import ALONE, Processes

MAX_GRADIENT = 1.0  # length of all gradients together, Pascanu et al. (2013)
POOL = 50  # batches whose rows are sorted by length together: little padding, still a random order


@dataclass(frozen=True)
class Task:
    """What is to be learned, and with what."""

    train: tuple[Sequence[str], NDArray[np.int64]]
    valid: tuple[Sequence[str], NDArray[np.int64]]
    labels: tuple[str, ...]
    config: Transformer
    seed: int
    device: str


@dataclass(frozen=True)
class Learner:
    """The 32-bit weights that are learned, the network that computes with a copy of them, and the rows."""

    task: Task
    weights: Tensors
    network: PreTrainedModel
    train: Texts
    valid: Texts
    optimiser: torch.optim.Optimizer
    processes: Processes

    @property
    def batches(self) -> int:
        """Return how many an epoch has."""
        return -(-len(self.train.lengths) // self.task.config.batch_size)


class Finetuned(NamedTuple):
    """The model of the best epoch, on the processor and in evaluation mode, and how it came to be."""

    model: PreTrainedModel
    epochs: tuple[Epoch, ...]
    earlier_seconds: float  # of the epochs that a run which was killed has left


def finetune(task: Task, base: Path, checkpoint: Path, processes: Processes = ALONE) -> Finetuned:
    """Train and return the model of the best epoch with the history.

    After a kill the next call goes on behind the last whole epoch in `checkpoint` and ends with the same weights. Each
    of several processes trains on a share of every batch and returns the same; the first one alone writes and prints.
    """
    torch.manual_seed(task.seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    # Fills every new tensor, which costs a tenth of the time and guards against reading what nothing was written to.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    model = pretrained(base, task.labels, task.config)
    torch.nn.Module.to(model, task.device)
    learner = _learner(model, base, task, precision(task.device), processes)
    with processes.copy_of(checkpoint) as found:
        state = restore(found, learner.weights, learner.optimiser) or Checkpoint.fresh(learner.weights)
    earlier_seconds = sum(epoch.seconds for epoch in state.epochs)
    _refresh(learner)
    with Progress(console=Console(stderr=True), transient=True, disable=processes.rank > 0) as progress:
        bar = progress.add_task("training", total=task.config.epochs * learner.batches)
        while len(state.epochs) < task.config.epochs and state.since_best < task.config.patience:
            number = len(state.epochs)
            progress.update(bar, completed=number * learner.batches)
            epoch = _epoch(learner, number, lambda: progress.advance(bar))
            state = state.after(epoch, learner.weights)
            if processes.rank == 0:
                store(checkpoint, state, learner.weights, learner.optimiser)
                _tell(epoch)
    return Finetuned(_best(model, learner.weights, state), state.epochs, earlier_seconds)


def _tell(epoch: Epoch) -> None:
    score = f"validation macro-F1 {epoch.valid_macro_f1:.4f}"
    print(f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}, {score}", flush=True)


def _best(model: PreTrainedModel, weights: Tensors, state: Checkpoint) -> PreTrainedModel:
    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(state.best[name])
    torch.nn.Module.to(model, "cpu").eval()
    return model


def _learner(
    model: PreTrainedModel, base: Path, task: Task, dtype: torch.dtype, processes: Processes = ALONE
) -> Learner:
    weights = {name: value for name, value in model.named_parameters() if value.requires_grad}
    network = working_copy(model, dtype)
    encode = tokenizer(base, task.config.max_tokens)
    train, valid = (Texts.of(token_ids(encode, texts), task.device) for texts, _ in (task.train, task.valid))
    if task.config.freeze_embeddings and not task.config.dropout:
        train, valid = keep_states(network, task.config.freeze_layers, train, valid, processes=processes)
    lean_layers(network)
    optimiser = torch.optim.AdamW(weights.values(), lr=task.config.learning_rate, weight_decay=0.01, fused=True)
    return Learner(task, weights, network, train, valid, optimiser, processes)


def _trained(learner: Learner) -> list[torch.Tensor]:
    """Return the network's copies of the weights that are learned, in their order."""
    return [value for value in learner.network.parameters() if value.requires_grad]


@torch.no_grad()
def _refresh(learner: Learner) -> None:
    for copy, value in zip(_trained(learner), learner.weights.values(), strict=True):
        copy.copy_(value)


def _epoch(learner: Learner, number: int, advance: Callable[[], None]) -> Epoch:
    started = time.monotonic()
    balance = _balance(learner.task)
    loss = torch.zeros((), device=learner.task.device)  # read once an epoch: a GPU is not waited for after each step
    learner.network.train()
    for step, rows in enumerate(_order(learner, number)):
        missed = _missed(learner, rows, balance)
        missed.backward()
        _add_up_gradients(learner)
        _step(learner, number * learner.batches + step)
        loss += missed.detach()
        advance()
    learner.processes.all_reduce(loss)
    if not loss.isfinite():  # known to all processes, and said by the first
        raise CannotTell(f"the training fell apart in epoch {number + 1} (loss {float(loss)}): lower learning_rate")
    score = _macro_f1(learner)
    seconds = round(time.monotonic() - started, 3)
    return Epoch(epoch=number + 1, train_loss=float(loss) / learner.batches, valid_macro_f1=score, seconds=seconds)


def _missed(learner: Learner, rows: list[int], balance: torch.Tensor) -> torch.Tensor:
    """Return this process's part of a batch's mean loss: that of its rows, by their share of the batch's weight."""
    mine = list(learner.processes.share(rows))
    if not mine:  # fewer rows than processes: one that weighs nothing, since all have to go the same way
        return 0 * _missed(replace(learner, processes=ALONE), rows[:1], balance)
    classes = torch.from_numpy(learner.task.train[1])
    with mixed(learner.network):
        logits = learner.network(**learner.train.batch(mine)).logits
    targets, weight = to_device(classes[mine], logits.device), to_device(balance, logits.device)
    missed = torch.nn.functional.cross_entropy(logits.float(), targets, weight=weight)
    if len(mine) == len(rows):
        return missed
    return missed * float(balance[classes[mine]].sum() / balance[classes[rows]].sum())


def _add_up_gradients(learner: Learner) -> None:
    """Give each process the sum of all gradients, which travel in 32 bits and in one piece."""
    gradients = [copy.grad for copy in _trained(learner) if copy.grad is not None]
    if learner.processes.count > 1:
        flat = torch.cat([gradient.flatten().float() for gradient in gradients])
        learner.processes.all_reduce(flat)
        for gradient, found in zip(gradients, flat.split([part.numel() for part in gradients]), strict=True):
            gradient.copy_(found.view_as(gradient))


def _balance(task: Task) -> torch.Tensor:
    """Return each label's weight in the loss: rows of a rare one count for more, by the root of how rare it is."""
    counts = np.bincount(task.train[1], minlength=len(task.labels))
    return torch.tensor(np.sqrt(counts.mean() / np.maximum(counts, 1)), dtype=torch.float32)


def _order(learner: Learner, epoch: int) -> list[list[int]]:
    """Return this epoch's batches of row numbers: random, but of similar length inside a batch."""
    seed, size = learner.task.seed, learner.task.config.batch_size
    # Dropout too: an epoch is the same after a restart, and no two processes drop the same.
    torch.manual_seed(seed + 1 + epoch + learner.processes.rank * 1_000_003)
    random = np.random.default_rng((seed, epoch))
    lengths = learner.train.lengths.cpu().numpy()
    shuffled = random.permutation(len(lengths))
    batches = []
    for start in range(0, len(lengths), size * POOL):
        pool = shuffled[start : start + size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")].tolist()
        batches += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [batches[number] for number in random.permutation(len(batches))]


def _step(learner: Learner, step: int) -> None:
    """Take the gradients over to the 32-bit weights, clip them, and learn: rate up from 0, then down to 0."""
    config = learner.task.config
    total = config.epochs * learner.batches
    warm_up = max(1, round(config.warmup_share * total))
    share = min((step + 1) / warm_up, (total - step) / max(1, total - warm_up))
    for group in learner.optimiser.param_groups:
        group["lr"] = config.learning_rate * share
    copies = _trained(learner)
    gradients = [copy.grad for copy in copies if copy.grad is not None]
    shorten = (MAX_GRADIENT / (torch.nn.utils.get_total_norm(gradients).float() + 1e-6)).clamp(max=1.0)
    for value, copy in zip(learner.weights.values(), copies, strict=True):
        value.grad, copy.grad = None if copy.grad is None else copy.grad.float().mul_(shorten), None
    learner.optimiser.step()
    _refresh(learner)


@torch.inference_mode()
def _macro_f1(learner: Learner) -> float:
    from sklearn.metrics import f1_score

    learner.network.eval()
    found = torch.zeros(len(learner.valid.lengths), dtype=torch.int64)
    with mixed(learner.network):
        for rows in learner.processes.share(list(learner.valid.by_length())):
            found[rows] = learner.network(**learner.valid.batch(rows)).logits.argmax(dim=1).cpu()
    learner.processes.all_reduce(found)
    return float(f1_score(learner.task.valid[1], found.numpy(), average="macro", zero_division=0))
