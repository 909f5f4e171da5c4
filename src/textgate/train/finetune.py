"""Fine-tuning of a pre-trained encoder in PyTorch: base weights and rows in, an ONNX-backed classifier out.

Devlin et al. (2019), "BERT", for the recipe; the epoch with the best validation macro-F1 is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from textgate.config import Transformer
from textgate.errors import CannotTell
from textgate.evidence import Epoch
from textgate.models.transformer import Encoder
from textgate.train.checkpoint import Checkpoint, Tensors, restore, store
from textgate.train.network import Texts, keep_states, mixed, read_first_token, working_copy

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

    @property
    def batches(self) -> int:
        """Return how many an epoch has."""
        return -(-len(self.train.lengths) // self.task.config.batch_size)


def choose_device(wanted: str) -> str:
    """Turn auto into cuda where there is a GPU, else cpu. Raises CannotTell for cuda without a GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise CannotTell("configs/train.yaml: device: cuda: torch finds no GPU here: set auto, or mend the driver")
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def precision(device: str) -> torch.dtype:
    """Return bfloat16 where the hardware computes it, else float32."""
    fast = torch.cuda.is_bf16_supported() if device == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - torch has no public name for it
    return torch.bfloat16 if fast else torch.float32


def finetune(task: Task, base: Path, checkpoint: Path) -> tuple[PreTrainedModel, tuple[Epoch, ...]]:
    """Train and return the model of the best epoch (on the processor, in evaluation mode) with the history.

    After a kill the next call goes on behind the last whole epoch in `checkpoint` and ends with the same weights.
    """
    torch.manual_seed(task.seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    # Fills every new tensor, which costs a tenth of the time and guards against reading what nothing was written to.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    model = _load(base, task)
    learner = _learner(model, base, task, precision(task.device))
    state = restore(checkpoint, learner.weights, learner.optimiser) or Checkpoint.fresh(learner.weights)
    _refresh(learner)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("training", total=task.config.epochs * learner.batches)
        while len(state.epochs) < task.config.epochs and state.since_best < task.config.patience:
            number = len(state.epochs)
            progress.update(bar, completed=number * learner.batches)
            epoch = _epoch(learner, number, lambda: progress.advance(bar))
            state = state.after(epoch, learner.weights)
            store(checkpoint, state, learner.weights, learner.optimiser)
            print(
                f"epoch {number + 1}: loss {epoch.train_loss:.4f}, validation macro-F1 {epoch.valid_macro_f1:.4f}",
                flush=True,
            )
    return _best(model, learner.weights, state), state.epochs


def _best(model: PreTrainedModel, weights: Tensors, state: Checkpoint) -> PreTrainedModel:
    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(state.best[name])
    torch.nn.Module.to(model, "cpu").eval()
    return model


def _load(base: Path, task: Task) -> PreTrainedModel:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        str(base),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        attn_implementation="eager",  # the one that exports to ONNX without custom operators
        id2label=dict(enumerate(task.labels)),
        label2id={label: number for number, label in enumerate(task.labels)},
        dtype=torch.float32,
        hidden_dropout_prob=task.config.dropout,
        attention_probs_dropout_prob=task.config.dropout,
    )
    encoder = getattr(model, model.base_model_prefix)
    frozen = [encoder.embeddings] if task.config.freeze_embeddings else []
    for part in (*frozen, *encoder.encoder.layer[: task.config.freeze_layers]):
        part.requires_grad_(requires_grad=False)
    torch.nn.Module.to(model, task.device)
    return model


def _learner(model: PreTrainedModel, base: Path, task: Task, dtype: torch.dtype) -> Learner:
    weights = {name: value for name, value in model.named_parameters() if value.requires_grad}
    network = working_copy(model, dtype)
    encode = Encoder(base, task.config.max_tokens)
    train, valid = (Texts.of(encode(texts), task.device) for texts, _ in (task.train, task.valid))
    if task.config.freeze_embeddings and not task.config.dropout:
        train, valid = keep_states(network, task.config.freeze_layers, train, valid)
    read_first_token(network)
    optimiser = torch.optim.AdamW(weights.values(), lr=task.config.learning_rate, weight_decay=0.01, fused=True)
    return Learner(task, weights, network, train, valid, optimiser)


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
    targets = torch.tensor(learner.task.train[1], device=learner.task.device)
    loss = torch.zeros((), device=learner.task.device)  # read once an epoch: a GPU is not waited for after each step
    learner.network.train()
    for step, rows in enumerate(_order(learner, number)):
        with mixed(learner.network):
            logits = learner.network(**learner.train.batch(rows)).logits
        missed = torch.nn.functional.cross_entropy(logits.float(), targets[rows], weight=balance)
        missed.backward()
        _step(learner, number * learner.batches + step)
        loss += missed.detach()
        advance()
    score = _macro_f1(learner)
    seconds = round(time.monotonic() - started, 3)
    return Epoch(epoch=number + 1, train_loss=float(loss) / learner.batches, valid_macro_f1=score, seconds=seconds)


def _balance(task: Task) -> torch.Tensor:
    """Return each label's weight in the loss: rows of a rare one count for more, by the root of how rare it is."""
    counts = np.bincount(task.train[1], minlength=len(task.labels))
    return torch.tensor(np.sqrt(counts.mean() / np.maximum(counts, 1)), dtype=torch.float32, device=task.device)


def _order(learner: Learner, epoch: int) -> list[list[int]]:
    """Return this epoch's batches of row numbers: random, but of similar length inside a batch."""
    seed, size = learner.task.seed, learner.task.config.batch_size
    torch.manual_seed(seed + 1 + epoch)  # dropout too: an epoch is the same after a restart
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
    found = np.zeros(len(learner.valid.lengths), np.int64)
    with mixed(learner.network):
        for rows in learner.valid.by_length():
            found[rows] = learner.network(**learner.valid.batch(rows)).logits.argmax(dim=1).cpu().numpy()
    return float(f1_score(learner.task.valid[1], found, average="macro", zero_division=0))
