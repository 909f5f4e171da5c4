"""Fine-tuning of a pre-trained encoder in PyTorch: base weights and rows in, an ONNX-backed classifier out.

Devlin et al. (2019), "BERT", for the recipe; the epoch with the best validation macro-F1 is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, TaskID
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from textgate.config import Transformer
from textgate.errors import CannotTell
from textgate.evidence import Epoch
from textgate.models.transformer import Encoder
from textgate.train.checkpoint import Checkpoint, Tensors, restore, store

SCORED_AT_ONCE = 64
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


def choose_device(wanted: str) -> str:
    """Turn auto into cuda where there is a GPU, else cpu. Raises CannotTell for cuda without a GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise CannotTell("configs/train.yaml: device: cuda: torch finds no GPU here: set auto, or mend the driver")
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def precision(device: str) -> torch.dtype:
    """Return bfloat16 where the hardware computes it, else float32."""
    fast = torch.cuda.is_bf16_supported() if device == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - torch has no public name for it
    return torch.bfloat16 if fast else torch.float32


def mixed(device: str) -> torch.autocast:
    """Return the context in which matrix products are computed in the device's fast precision."""
    fast = precision(device)
    return torch.autocast(device, fast, enabled=fast != torch.float32)


def finetune(task: Task, base: Path, checkpoint: Path) -> tuple[PreTrainedModel, tuple[Epoch, ...]]:
    """Train and return the model of the best epoch (on the processor, in evaluation mode) with the history.

    After a kill the next call goes on behind the last whole epoch in `checkpoint` and ends with the same weights.
    """
    torch.manual_seed(task.seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    model = _load(base, task)
    encode = Encoder(base, task.config.max_tokens)
    train_ids, valid_ids = encode(task.train[0]), encode(task.valid[0])
    trainable = {name: value for name, value in model.named_parameters() if value.requires_grad}
    optimiser = torch.optim.AdamW(trainable.values(), lr=task.config.learning_rate, weight_decay=0.01, fused=True)
    state = restore(checkpoint, trainable, optimiser) or Checkpoint.fresh(trainable)
    batches = -(-len(train_ids) // task.config.batch_size)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("training", total=task.config.epochs * batches, completed=len(state.epochs) * batches)
        while len(state.epochs) < task.config.epochs and state.since_best < task.config.patience:
            started = time.monotonic()
            number = len(state.epochs)
            loss = sum(
                _step(model, optimiser, task, number * batches + step, _tensors(train_ids, rows, model), rows)
                for step, rows in enumerate(_watch(_order(train_ids, task, number), progress, bar))
            )
            score = _macro_f1(model, valid_ids, task)
            seconds = round(time.monotonic() - started, 3)
            epoch = Epoch(epoch=number + 1, train_loss=loss / batches, valid_macro_f1=score, seconds=seconds)
            state = state.after(epoch, trainable)
            store(checkpoint, state, trainable, optimiser)
            print(f"epoch {number + 1}: loss {epoch.train_loss:.4f}, validation macro-F1 {score:.4f}", flush=True)
    return _best(model, trainable, state), state.epochs


def _best(model: PreTrainedModel, trainable: Tensors, state: Checkpoint) -> PreTrainedModel:
    with torch.no_grad():
        for name, value in trainable.items():
            value.copy_(state.best[name])
    _move(model, "cpu").eval()
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
    return _move(model, task.device)


def _move(model: PreTrainedModel, device: str) -> PreTrainedModel:
    return torch.nn.Module.to(model, device)


def _order(ids: list[list[int]], task: Task, epoch: int) -> list[list[int]]:
    """Return this epoch's batches of row numbers: random, but of similar length inside a batch."""
    torch.manual_seed(task.seed + 1 + epoch)  # dropout too: an epoch is the same after a restart
    random = np.random.default_rng((task.seed, epoch))
    size = task.config.batch_size
    shuffled = random.permutation(len(ids))
    batches = []
    for start in range(0, len(ids), size * POOL):
        pool = sorted(shuffled[start : start + size * POOL].tolist(), key=lambda row: len(ids[row]))
        batches += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [batches[number] for number in random.permutation(len(batches))]


def _watch(batches: list[list[int]], progress: Progress, bar: TaskID) -> Iterator[list[int]]:
    for batch in batches:
        yield batch
        progress.advance(bar)


def _tensors(ids: list[list[int]], rows: list[int], model: PreTrainedModel) -> dict[str, torch.Tensor]:
    longest = max(len(ids[row]) for row in rows)
    pad = int(model.config.pad_token_id or 0)
    tokens = torch.full((len(rows), longest), pad)
    mask = torch.zeros((len(rows), longest), dtype=torch.int64)
    for line, row in enumerate(rows):
        tokens[line, : len(ids[row])] = torch.tensor(ids[row])
        mask[line, : len(ids[row])] = 1
    device = next(model.parameters()).device
    return {"input_ids": tokens.to(device), "attention_mask": mask.to(device)}


def _step(
    model: PreTrainedModel,
    optimiser: torch.optim.Optimizer,
    task: Task,
    step: int,
    inputs: dict[str, torch.Tensor],
    rows: list[int],
) -> float:
    model.train()
    config = task.config
    total = config.epochs * -(-len(task.train[1]) // config.batch_size)
    warm_up = max(1, round(config.warmup_share * total))
    share = min((step + 1) / warm_up, (total - step) / max(1, total - warm_up))
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * share
    counts = np.bincount(task.train[1], minlength=len(task.labels))
    weights = torch.tensor(np.sqrt(counts.mean() / np.maximum(counts, 1)), dtype=torch.float32, device=task.device)
    targets = torch.tensor(task.train[1][rows], device=task.device)
    with mixed(task.device):
        logits = model(**inputs).logits
    loss = torch.nn.functional.cross_entropy(logits.float(), targets, weight=weights)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _macro_f1(model: PreTrainedModel, ids: list[list[int]], task: Task) -> float:
    from sklearn.metrics import f1_score

    model.eval()
    found = np.zeros(len(ids), np.int64)
    with torch.no_grad(), mixed(task.device):
        for rows in _batches_by_length(ids):
            found[rows] = model(**_tensors(ids, rows, model)).logits.argmax(dim=1).cpu().numpy()
    return float(f1_score(task.valid[1], found, average="macro", zero_division=0))


def _batches_by_length(ids: list[list[int]]) -> Iterator[list[int]]:
    """Yield row numbers, shortest first, so that a batch needs little padding."""
    rows = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for start in range(0, len(rows), SCORED_AT_ONCE):
        yield rows[start : start + SCORED_AT_ONCE]
