"""What the peers serve, as their documentation shows it: the same ONNX file, the same linear model, or a pipeline.

This runs in .venv-bench, without textgate. serve_servers.py names the folders: BENCH_ONNX (a transformer bundle),
BENCH_TORCH (the same network for transformers) and BENCH_DATA (the rows that textgate's linear model was trained on).
"""

# ruff: noqa: INP001, ANN001, ANN201, ANN204, D102, D103, D107 - what a user of each peer would write

import json
import os
from pathlib import Path

import numpy as np

THREADS = len(os.sched_getaffinity(0))


def answers(labels, rows):
    return [
        {"label": labels[row.argmax()], "probabilities": dict(zip(labels, map(float, row), strict=True))}
        for row in rows
    ]


def softmax(scores):
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


class Onnx:
    """ONNX Runtime and the tokenizers library, padded batches."""

    def __init__(self, threads=THREADS):
        import onnxruntime
        from tokenizers import Tokenizer

        folder = Path(os.environ["BENCH_ONNX"])
        settings = json.loads((folder / "transformer.json").read_text())
        config = json.loads((folder / "config.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(settings["max_tokens"])
        self._tokenizer.enable_padding(pad_id=config["pad_token_id"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(folder / "onnx" / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._temperature = settings["temperature"]
        self._labels = [config["id2label"][str(number)] for number in range(len(config["id2label"]))]

    def __call__(self, texts):
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        logits = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        return answers(self._labels, softmax(logits / self._temperature))


class Linear:
    """scikit-learn's vectoriser and linear machine, with the settings of configs/experiments/001_baseline.yaml."""

    def __init__(self):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        rows = [json.loads(line) for line in Path(os.environ["BENCH_DATA"]).read_text().splitlines()]
        vectoriser = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True, dtype=np.float32
        )
        machine = LinearSVC(C=1.0, class_weight="balanced", random_state=1)
        self._pipeline = make_pipeline(vectoriser, machine)
        self._pipeline.fit([row["text"] for row in rows], [row["label"] for row in rows])
        self._labels = list(self._pipeline.classes_)

    def __call__(self, texts):
        return answers(self._labels, softmax(self._pipeline.decision_function(list(texts))))


class Pipeline:
    """transformers.pipeline on torch, in 32 bits."""

    def __init__(self):
        from transformers import pipeline

        folder = os.environ["BENCH_TORCH"]
        self._pipeline = pipeline("text-classification", model=folder, tokenizer=folder, top_k=None, device="cpu")

    def __call__(self, texts, batch_size=1):
        found = self._pipeline(list(texts), batch_size=batch_size, truncation=True, max_length=48)
        return [
            {"label": one[0]["label"], "probabilities": {each["label"]: each["score"] for each in one}} for one in found
        ]


KINDS = {"onnx": Onnx, "linear": Linear, "pipeline": Pipeline}
