"""The network while it is trained: what is frozen runs once a text, matrix products in the device's fast precision.

Frozen layers below the first trained one give a text the same hidden states in every epoch: they are computed once and
kept. The 32-bit weights, on which the optimiser works, stay where they are; this is a copy whose matrices have 16 bits,
refreshed after each step (Micikevicius et al. 2018, "Mixed precision training").
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.roberta.modeling_roberta import RobertaLayer
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLayer

from textgate.train.devices import to_device
from textgate.train.processes import ALONE, Processes

AT_ONCE = 64  # texts, where nothing is learned from them
MAX_STATES_BYTES = 1 << 30  # 700,000 tokens of 384 numbers; of more, they are computed again for each batch
# Between embeddings, layers and classifier these have nothing else (others convolve, project or norm once more), and
# the classifier reads the first token alone.
PLAIN_LAYERS = (BertLayer, RobertaLayer, XLMRobertaLayer)


@dataclass(frozen=True)
class Texts:
    """Tokens of many texts, one text after the other: ids on the device, and hidden states (tokens, width) if kept."""

    ids: torch.Tensor
    starts: (
        torch.Tensor
    )  # on the processor, as the lengths: a GPU would have to be waited for to learn how long a batch is
    lengths: torch.Tensor
    states: torch.Tensor | None = None

    @classmethod
    def of(cls, ids: Iterable[Sequence[int]], device: str) -> Texts:
        """Take the ids of each text; none may be empty."""
        rows = [np.asarray(row, np.int64) for row in ids]
        lengths = torch.tensor([len(row) for row in rows])
        flat = torch.from_numpy(np.concatenate(rows))
        return cls(flat.to(device), lengths.cumsum(0) - lengths, lengths)

    def batch(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return a model's inputs for these texts, each filled up to the longest.

        Padding holds some other token: the mask keeps it out of everything.
        """
        places, mask = self.places(rows)
        if self.states is None:
            return {"input_ids": self.ids[places], "attention_mask": mask.long()}
        return {"inputs_embeds": self.states[places], "attention_mask": mask.long()}

    def places(self, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where the tokens of these texts are, and which of them are no padding, of shape (texts, tokens)."""
        chosen = torch.tensor(rows)
        lengths = self.lengths[chosen]
        steps = torch.arange(int(lengths.max()))
        places = (self.starts[chosen][:, None] + steps).clamp(max=len(self.ids) - 1)
        return to_device(places, self.ids.device), to_device(steps < lengths[:, None], self.ids.device)

    def by_length(self) -> Iterator[list[int]]:
        """Yield row numbers, shortest first, so that a batch needs little padding."""
        rows = torch.argsort(self.lengths, stable=True).tolist()
        for start in range(0, len(rows), AT_ONCE):
            yield rows[start : start + AT_ONCE]


def working_copy(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Return a copy whose matrices are in another precision; sums and norms stay in 32 bits, to be run in `mixed`."""
    work = copy.deepcopy(model)
    for part in work.modules():
        if isinstance(part, torch.nn.Linear):
            part.to(dtype)
    return work


def mixed(work: PreTrainedModel) -> torch.autocast:
    """Return the context in which matrix products take the precision of the copy's matrices."""
    dtype = next(part.weight.dtype for part in work.modules() if isinstance(part, torch.nn.Linear))
    return torch.autocast(work.device.type, dtype, enabled=dtype != torch.float32)


def keep_states(
    work: PreTrainedModel,
    frozen_layers: int,
    *all_texts: Texts,
    max_bytes: int = MAX_STATES_BYTES,
    processes: Processes = ALONE,
) -> tuple[Texts, ...]:
    """Compute what the frozen embeddings and layers make of the texts, and take them out of the network.

    Returns the texts as they are, and leaves the network whole, if the states would take more than `max_bytes`, or if
    more happens to them than in BERT.
    """
    encoder = getattr(work, work.base_model_prefix)
    layers = encoder.encoder.layer
    width = work.config.hidden_size * next(work.parameters()).element_size()
    if sum(len(texts.ids) for texts in all_texts) * width > max_bytes or not _plain(layers):
        return all_texts
    encoder.encoder.layer = layers[:frozen_layers]
    with torch.no_grad(), mixed(work):
        kept = tuple(replace(texts, states=_states(encoder, texts, processes)) for texts in all_texts)
    encoder.encoder.layer = layers[frozen_layers:]
    encoder.embeddings = _Given()
    return kept


def lean_layers(work: PreTrainedModel) -> None:
    """Let each layer compute less, and the last one only what the classifier reads; with dropout, nothing changes."""
    layers = getattr(work, work.base_model_prefix).encoder.layer
    if not work.config.hidden_dropout_prob and _plain(layers):
        for number, layer in enumerate(layers):
            layers[number] = _Lean(layer, slice(1) if number == len(layers) - 1 else slice(None))


@contextmanager
def first_token_alone(model: torch.nn.Module) -> Iterator[None]:
    """Let the last layer go on behind its attention with what the classifier reads, as long as this context lasts."""
    last = [layer.attention for layer in model.modules() if isinstance(layer, PLAIN_LAYERS)][-1:]
    hooks = [part.register_forward_hook(lambda _, __, found: (found[0][:, :1], *found[1:])) for part in last]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _plain(layers: torch.nn.ModuleList) -> bool:
    return all(isinstance(layer, PLAIN_LAYERS) for layer in layers)


def _states(encoder: torch.nn.Module, texts: Texts, processes: Processes) -> torch.Tensor:
    weight = next(encoder.parameters())
    states = weight.new_zeros(len(texts.ids), encoder.config.hidden_size)  # type: ignore[arg-type,union-attr]
    for rows in processes.share(list(texts.by_length())):
        places, mask = texts.places(rows)
        states[places[mask]] = encoder(**texts.batch(rows)).last_hidden_state[mask]
    processes.all_reduce(states)
    return states


class _Given(torch.nn.Module):
    """Stands where the embeddings were: the states are given."""

    def forward(self, inputs_embeds: torch.Tensor, **_: Any) -> torch.Tensor:
        """Return them."""
        return inputs_embeds


class _Lean(torch.nn.Module):
    """A layer whose queries, keys and values are one product, for these tokens; the last one's is the first alone.

    One product where there were three: the states are cast to 16 bits once, and so is what comes back.
    """

    def __init__(self, layer: Any, tokens: slice) -> None:
        """Take the whole layer."""
        super().__init__()
        self.layer, self.tokens = layer, tokens

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None, *_: Any, **__: Any) -> torch.Tensor:
        """Return states (texts, tokens, width); `mask` is what is added to the scores, (texts, 1, tokens, tokens)."""
        attention, read = self.layer.attention.self, hidden[:, self.tokens]
        if self.tokens.stop:
            query, (key, value) = attention.query(read), _together(hidden, attention.key, attention.value)
        else:
            query, key, value = _together(hidden, attention.query, attention.key, attention.value)
        heads = (len(hidden), -1, attention.num_attention_heads, attention.attention_head_size)
        query, key, value = (part.view(heads).transpose(1, 2) for part in (query, key, value))
        scores = query @ key.transpose(2, 3) * attention.attention_head_size**-0.5
        if mask is not None:
            scores = scores + mask[:, :, self.tokens]
        seen = scores.softmax(dim=-1, dtype=torch.float32) @ value
        attended = self.layer.attention.output(seen.transpose(1, 2).reshape(read.shape), read)
        found: torch.Tensor = self.layer.feed_forward_chunk(attended)
        return found


def _together(states: torch.Tensor, *parts: torch.nn.Linear) -> tuple[torch.Tensor, ...]:
    weight, bias = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
    return torch.nn.functional.linear(states, weight, bias).chunk(len(parts), dim=-1)
