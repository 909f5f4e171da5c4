"""The kind `transformer`: a fine-tuned encoder, run by ONNX Runtime and the tokenizers library alone.

Files: config.json, tokenizer.json, tokenizer_config.json (as transformers writes them), onnx/model.onnx,
transformer.json (temperature, longest input) and, if kept, model.safetensors.
"""

from __future__ import annotations

import json
import mmap
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from textgate.errors import CannotTell
from textgate.files import read_text, sha256_file, write_text
from textgate.models.calibration import softmax
from textgate.models.classifier import Probabilities
from textgate.models.processors import processors
from textgate.models.sessions import Sessions
from textgate.records import Above0, Positive, Record

CHARACTERS_PER_TOKEN = 64  # no piece of a usual vocabulary is longer, so text behind this cannot matter
TOKENS_AT_ONCE = 256  # in a run: 1.8 times as fast as text by text; with 512 and more it is no faster
SHORT = 512  # characters that take a third of a millisecond: `encode` spares a thread, but keeps Python's lock
SCALES_BY_INPUT = b"DynamicQuantize"  # how the names of ONNX operators begin that take a scale from all they are given

Batch = Sequence[tuple[int, ...]]


class Settings(Record):
    """transformer.json."""

    temperature: Above0
    max_tokens: Positive


class Encoder:
    """Texts into token ids of at most `max_tokens`, the special tokens included."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        """Open tokenizer.json."""
        from tokenizers import Tokenizer

        self._limit = max_tokens * CHARACTERS_PER_TOKEN
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()
        self._unknown = self._tokenizer.token_to_id(_unknown_token(folder))

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text. Lone surrogates, which no tokenizer takes, are read as a question mark."""
        return [encoding.ids for encoding in self._encodings(texts)]

    def with_unknown(self, texts: Sequence[str]) -> tuple[list[list[int]], list[float]]:
        """Return the ids of each text, and the share of its tokens, special ones aside, that stand for the unknown."""
        encodings = self._encodings(texts)
        ids = [encoding.ids for encoding in encodings]
        tokens = [encoding.special_tokens_mask.count(0) for encoding in encodings]
        counted = zip(ids, tokens, strict=True)
        return ids, [row.count(self._unknown) / count if count else 0.0 for row, count in counted]

    def _encodings(self, texts: Sequence[str]) -> list[Any]:
        clean = [text[: self._limit].encode("utf-8", "replace").decode() for text in texts]
        if len(clean) == 1 and len(clean[0]) <= SHORT:
            return [self._tokenizer.encode(clean[0])]
        return list(self._tokenizer.encode_batch(clean))


_open: WeakValueDictionary[tuple[str, str, int], Encoder] = WeakValueDictionary()


def open_encoder(folder: Path, max_tokens: int) -> Encoder:
    """Return the encoder of a folder; an opened one of the same bytes is used again.

    Opening it holds Python's lock for half a second, in which a service that loads its next model could not answer;
    and that next model nearly always has the tokenizer of the last.
    """
    names = ("tokenizer.json", "tokenizer_config.json")
    for name in names:
        if not (folder / name).is_file():
            raise CannotTell(f"{folder / name} is missing: train again")
    tokenizer, settings = (sha256_file(folder / name) for name in names)
    key = (tokenizer, settings, max_tokens)
    encoder = _open.get(key)
    if encoder is None:
        encoder = _open[key] = Encoder(folder, max_tokens)
    return encoder


def _unknown_token(folder: Path) -> str:
    """Return the token that stands for the unknown, as transformers wrote it; "" if there is none, as with bytes."""
    named = json.loads(read_text(folder / "tokenizer_config.json", "train again")).get("unk_token")
    return str(named.get("content") if isinstance(named, dict) else named or "")


def _scales_by_input(path: Path) -> bool:
    """Say whether an ONNX file quantises by what it is given, so that a text's answer would depend on its neighbours.

    Finding the name where it is no operator only makes the model slower.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(SCALES_BY_INPUT) >= 0


def _batches(ids: Batch, tokens: int) -> list[Batch]:
    """Return what is run together: different texts of one length, at most so many tokens or one text; longest first."""
    alike: dict[int, list[tuple[int, ...]]] = {}
    for row in dict.fromkeys(ids):
        alike.setdefault(len(row), []).append(row)
    batches: list[Batch] = []
    for length, rows in sorted(alike.items(), reverse=True):
        size = max(1, tokens // length)
        batches += [rows[start : start + size] for start in range(0, len(rows), size)]
    return batches


class TransformerClassifier:
    """An ONNX file with the inputs input_ids and attention_mask and the output logits."""

    def __init__(self, labels: tuple[str, ...], folder: Path, settings: Settings) -> None:
        """Open the ONNX file in a folder; nothing in the folder is executed."""
        self.labels = labels
        self.settings = settings
        self._folder = folder
        self._encode = open_encoder(folder, settings.max_tokens)
        path = folder / "onnx" / "model.onnx"
        self._sessions = Sessions(path)
        self._alone = _scales_by_input(path)
        outputs = self._sessions.outputs
        if outputs != len(labels):
            raise ValueError(f"the ONNX file gives {outputs} scores, but there are {len(labels)} labels")

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Return probabilities of shape (texts, labels)."""
        return softmax(self.logits(texts) / self.settings.temperature)

    def predict(self, texts: Sequence[str]) -> tuple[Probabilities, list[float]]:
        """Return probabilities, and the share of each text's tokens that the tokenizer has no piece for."""
        ids, shares = self._encode.with_unknown(texts)
        return softmax(self._logits(ids) / self.settings.temperature), shares

    def logits(self, texts: Sequence[str]) -> Probabilities:
        """Return the scores before softmax, shape (texts, labels)."""
        return self._logits(self._encode(texts))

    def _logits(self, encoded: Sequence[Sequence[int]]) -> Probabilities:
        """Return the scores of texts that are given as their tokens.

        Texts of equally many tokens are run together, each run on one thread, as many at once as there are processors;
        texts that come one by one are run on two threads. Nothing is padded, so a text's sums are added up as if it
        were alone. Texts with the same tokens are run once.
        """
        if len(encoded) == 1:
            return self._run(encoded, alone=True)
        ids = [tuple(row) for row in encoded]
        batches = _batches(ids, 0 if self._alone else TOKENS_AT_ONCE)
        if len(batches) == 1:
            found = [self._run(batches[0], alone=len(batches[0]) == 1)]
        else:
            with ThreadPoolExecutor(processors()) as pool:
                found = list(pool.map(self._run, batches))
        pairs = zip(batches, found, strict=True)
        scores = {row: score for batch, rows in pairs for row, score in zip(batch, rows, strict=True)}
        return np.array([scores[row] for row in ids], np.float64).reshape(-1, len(self.labels))

    def _run(self, batch: Sequence[Sequence[int]], *, alone: bool = False) -> Probabilities:
        tokens = np.array(batch, np.int64)
        return self._sessions.run({"input_ids": tokens, "attention_mask": np.ones_like(tokens)}, alone=alone)

    def save(self, folder: Path) -> None:
        """Copy the files of the opened folder."""
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)

    def with_temperature(self, temperature: float) -> TransformerClassifier:
        """Return the same model with another temperature, written to its folder."""
        settings = self.settings.model_copy(update={"temperature": temperature})
        write_text(self._folder / "transformer.json", settings.model_dump_json() + "\n")
        return TransformerClassifier(self.labels, self._folder, settings)

    @classmethod
    def load(cls, folder: Path, labels: tuple[str, ...]) -> TransformerClassifier:
        """Open what `save` wrote. Raises ValueError if files and labels do not belong together."""
        settings = Settings.model_validate_json(read_text(folder / "transformer.json", "train again"))
        return cls(labels, folder, settings)
