"""Base weights as a classifier that can be trained; what cannot be is said before it has taken hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from textgate.config import Transformer
from textgate.errors import CannotTell, TextgateError
from textgate.models.transformer import Encoder
from textgate.train.devices import memory_errors

NEXT = "name another `base` in the experiment"
ENCODED = 4096  # texts at once: what a tokenizer says of one takes 7 kB, of which its ids are the least
MAX_BYTES = 2**31 - 2**24  # of weights in an ONNX file: a message of protocol buffers ends at 2 GiB


def pretrained(base: Path, labels: tuple[str, ...], config: Transformer) -> PreTrainedModel:
    """Return the encoder in a folder with a new head for these labels, in 32 bits on the processor.

    The embeddings and layers that the experiment freezes learn nothing. Raises CannotTell for a folder that
    transformers does not open, for an encoder that is not built like BERT or too large for an ONNX file, and for
    settings of the experiment that do not go with it.
    """
    model = _opened(base, labels, config)
    encoder = getattr(model, model.base_model_prefix)
    layers = getattr(getattr(encoder, "encoder", None), "layer", None)
    if layers is None or not hasattr(encoder, "embeddings"):
        raise CannotTell(f"{base}: {model.config.model_type} is not built like BERT, RoBERTa and XLM-RoBERTa: {NEXT}")
    if config.freeze_layers > len(layers):
        raise CannotTell(
            f"freeze_layers: {config.freeze_layers}, but these base weights have {len(layers)}: write less"
        )
    tables = sum(value.numel() for value in encoder.embeddings.parameters())
    check_size(sum(value.numel() for value in model.parameters()), tables, int8=config.int8)
    _check_length(model, config.max_tokens)
    for part in (*([encoder.embeddings] if config.freeze_embeddings else []), *layers[: config.freeze_layers]):
        part.requires_grad_(requires_grad=False)
    return model


def _opened(base: Path, labels: tuple[str, ...], config: Transformer) -> PreTrainedModel:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, found = AutoModelForSequenceClassification.from_pretrained(
            str(base),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="eager",  # the one that exports to ONNX without custom operators
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
            dtype=torch.float32,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CannotTell(f"{base}: transformers does not open these base weights ({reason}): {NEXT}") from error
    body = f"{model.base_model_prefix}."
    if missing := sorted(name for name in found["missing_keys"] if name.startswith(body) and ".pooler." not in name):
        raise CannotTell(f"{base}: model.safetensors lacks {len(missing)} weights, such as {missing[0]}: {NEXT}")
    opened: PreTrainedModel = model
    return opened


def check_size(weights: int, in_tables: int, *, int8: bool) -> None:
    """Raise CannotTell if so many weights, some of them in embeddings, are too large for an ONNX file on its way.

    To 8 bits, the embeddings go first, and then all that is left is in one file.
    """
    size = 4 * weights - (3 * in_tables if int8 else 0)
    if size > MAX_BYTES:
        cure = NEXT if int8 else f"set int8: true, or {NEXT}"
        raise CannotTell(f"{weights:,} weights take {size / 2**30:.1f} GiB, and an ONNX file no more than 2: {cure}")


def tokenizer(base: Path, tokens: int) -> Encoder:
    """Open a base's tokenizer. Raises CannotTell if it cannot be, or if so few tokens leave nothing of a text."""
    try:
        encode = Encoder(base, tokens)
        own = len(encode([""])[0])
    except TextgateError:
        raise
    except Exception as error:  # its reader in Rust raises bare ones
        raise CannotTell(f"{base}: tokenizer.json is no tokenizer that can be read ({error}): {NEXT}") from error
    if own >= tokens:
        raise CannotTell(f"max_tokens: {tokens} leaves nothing of a text, the tokenizer itself adds {own}: write more")
    return encode


def token_ids(encode: Encoder, texts: Sequence[str]) -> Iterator[list[int]]:
    """Return the ids of each of any number of texts, without all that the tokenizer says of them."""
    for start in range(0, len(texts), ENCODED):
        yield from encode(texts[start : start + ENCODED])


@torch.no_grad()
def _check_length(model: PreTrainedModel, tokens: int) -> None:
    """Let the longest text through that may ever come: rows for training may all be shorter."""
    try:
        with memory_errors():
            model(input_ids=torch.full((1, tokens), int(model.config.pad_token_id == 0)))  # none of it is padding
    except (IndexError, RuntimeError) as error:
        most = getattr(model.config, "max_position_embeddings", "fewer")
        raise CannotTell(f"max_tokens: {tokens} is more than these base weights take ({most}): write less") from error
