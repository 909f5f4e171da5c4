"""The kind `transformer`: a fine-tuned encoder, run by ONNX Runtime and the tokenizers library alone.

Files: config.json, tokenizer.json, tokenizer_config.json (as transformers writes them), onnx/model.onnx,
transformer.json (temperature, longest input) and, if kept, model.safetensors.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import FiniteFloat

from textgate.calibration import softmax
from textgate.classifier import Probabilities
from textgate.files import read_text, write_text
from textgate.records import Count, Record

TOKEN_BUDGET = 2048  # tokens of one batch, padding included: longer batches are not faster on a processor
CHARACTERS_PER_TOKEN = 64  # no piece of a usual vocabulary is longer, so text behind this cannot matter


class Settings(Record):
    """transformer.json."""

    temperature: FiniteFloat
    max_tokens: Count
    pad_id: Count


class Encoder:
    """Texts into token ids of at most `max_tokens`, the special tokens included."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        """Open tokenizer.json."""
        from tokenizers import Tokenizer

        self._limit = max_tokens * CHARACTERS_PER_TOKEN
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text. Lone surrogates, which no tokenizer takes, are read as a question mark."""
        clean = [text[: self._limit].encode("utf-8", "replace").decode() for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(clean)]


class TransformerClassifier:
    """An ONNX file with the inputs input_ids and attention_mask and the output logits."""

    def __init__(self, labels: tuple[str, ...], folder: Path, settings: Settings) -> None:
        """Open the ONNX file in a folder; nothing in the folder is executed."""
        import onnxruntime

        self.labels = labels
        self.settings = settings
        self._folder = folder
        self._encode = Encoder(folder, settings.max_tokens)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"), options, providers)
        outputs = self._session.get_outputs()[0].shape[-1]
        if outputs != len(labels):
            raise ValueError(f"the ONNX file gives {outputs} scores, but there are {len(labels)} labels")

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Return probabilities of shape (texts, labels)."""
        return softmax(self.logits(texts) / self.settings.temperature)

    def logits(self, texts: Sequence[str]) -> Probabilities:
        """Return the scores before softmax, shape (texts, labels); batches hold texts of similar length."""
        ids = self._encode(texts)
        scores = np.zeros((len(texts), len(self.labels)))
        for rows in batches_by_length([len(row) for row in ids]):
            longest = max(len(ids[row]) for row in rows)
            tokens = np.full((len(rows), longest), self.settings.pad_id, np.int64)
            mask = np.zeros((len(rows), longest), np.int64)
            for line, row in enumerate(rows):
                tokens[line, : len(ids[row])] = ids[row]
                mask[line, : len(ids[row])] = 1
            scores[rows] = self._session.run(["logits"], {"input_ids": tokens, "attention_mask": mask})[0]
        return scores

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


def batches_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield row numbers, shortest first, in batches of at most TOKEN_BUDGET tokens when padded."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > TOKEN_BUDGET:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
