"""The kind `transformer`: a fine-tuned encoder, run by ONNX Runtime and the tokenizers library alone.

Files: config.json, tokenizer.json, tokenizer_config.json (as transformers writes them), onnx/model.onnx,
transformer.json (temperature, longest input) and, if kept, model.safetensors.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from textgate.files import read_text, write_text
from textgate.models.calibration import softmax
from textgate.models.classifier import Probabilities
from textgate.records import Above0, Positive, Record

CHARACTERS_PER_TOKEN = 64  # no piece of a usual vocabulary is longer, so text behind this cannot matter


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
        options.intra_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"), options, providers)
        outputs = self._session.get_outputs()[0].shape[-1]
        if outputs != len(labels):
            raise ValueError(f"the ONNX file gives {outputs} scores, but there are {len(labels)} labels")

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Return probabilities of shape (texts, labels)."""
        return softmax(self.logits(texts) / self.settings.temperature)

    def logits(self, texts: Sequence[str]) -> Probabilities:
        """Return the scores before softmax, shape (texts, labels).

        Each text is a run of its own, on one thread, as many at once as there are processors. Dynamic quantisation
        takes its scale from the whole input, so in a batch the answer to a text would depend on its neighbours. It is
        also faster than padded batches. Texts with the same tokens are run once.
        """
        ids = [tuple(row) for row in self._encode(texts)]
        distinct = {row: number for number, row in enumerate(dict.fromkeys(ids))}
        if len(distinct) == 1:
            found = self._run(ids[0])
        else:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                found = np.concatenate([np.empty((0, len(self.labels))), *pool.map(self._run, distinct)])
        return found[[distinct[row] for row in ids]]

    def _run(self, ids: tuple[int, ...]) -> Probabilities:
        tokens = np.array([ids], np.int64)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        return np.asarray(self._session.run(["logits"], feed)[0], np.float64)

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
