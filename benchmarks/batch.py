"""`make bench-batch`: a file of texts, scored by textgate's engine, by the plain pattern and by bare ONNX Runtime."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime
from harness import Ratio, Result, Rounds, interleave, ratio, versions
from scored_file import remove
from serve_models import FOLDER, TEST, VALID, prepare
from serve_peer import measuring, on_server_cores
from serve_servers import SERVER_CORES

from textgate.batch.batch import batch
from textgate.batch.settings import BatchConfig
from textgate.config import CONFIGS, load
from textgate.errors import run
from textgate.files import read_jsonl, write_jsonl
from textgate.models.transformer import open_encoder

ROUNDS = 4
PLAIN_SHARE = 3  # the plain pattern, which takes nine times as long, scores every third row, in the same order
MAX_TOKENS = 48
TOKENS_A_BATCH = 512  # padding included
Ids = Sequence[list[int]]


def ours(source: Path, model: Path, config: BatchConfig) -> float:
    """Return the seconds of the engine behind scripts/batch.py, without what it takes for a file of one row."""
    one = FOLDER / "one.jsonl"
    write_jsonl(one, [{"text": "Slå av lyset i stua"}])
    seconds = []
    for file in (one, source):
        target = FOLDER / "scored.jsonl"
        remove(target)
        started = perf_counter()
        batch(str(file), str(target), model, "text", None, config)
        seconds.append(perf_counter() - started)
    return seconds[1] - seconds[0]


class Bare:
    """Session loops over tokens that are ready, the longest first; nothing is read, put in order or written."""

    def __init__(self, model: Path, ids: Ids) -> None:
        """Take a bundle's folder and the tokens."""
        self._ids = sorted(ids, key=len, reverse=True)
        self._file = str(model / "onnx" / "model.onnx")

    def alone(self) -> Callable[[], float]:
        """Return what runs each text alone, a thread for each core."""
        session = self._session(1)
        feeds = [_feed([row]) for row in self._ids]
        return lambda: self._seconds(session, feeds, len(SERVER_CORES))

    def together(self) -> Callable[[], float]:
        """Return what runs padded batches, all cores on each."""
        session = self._session(len(SERVER_CORES))
        feeds = [_feed(rows) for rows in _batches(self._ids)]
        return lambda: self._seconds(session, feeds, 1)

    def _session(self, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        return onnxruntime.InferenceSession(self._file, options, ["CPUExecutionProvider"])

    @staticmethod
    def _seconds(session: onnxruntime.InferenceSession, feeds: Sequence[dict[str, np.ndarray]], lanes: int) -> float:
        started = perf_counter()
        with ThreadPoolExecutor(lanes) as pool:
            list(pool.map(lambda feed: session.run(["logits"], feed), feeds))
        return perf_counter() - started


def _feed(rows: Ids) -> dict[str, np.ndarray]:
    longest = max(map(len, rows))
    ids = np.array([row + [1] * (longest - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int64)
    return {"input_ids": ids, "attention_mask": mask}


def _batches(ids: Ids) -> list[Ids]:
    found, held = [], list[list[int]]()
    for row in ids:
        if held and len(held[0]) * (len(held) + 1) > TOKENS_A_BATCH:
            found.append(held)
            held = []
        held.append(row)
    return [*found, held]


def results(measured: Rounds, rows: int) -> list[Result]:
    """Return both goals."""
    seconds = measured.figures
    best = [min(pair) for pair in zip(seconds["bare, alone"], seconds["bare, batched"], strict=True)]
    figures: dict[str, float | str] = {
        f"{name} (texts/s)": round(rows / value, 1) for name, value in measured.medians(*seconds).items()
    }

    def made(name: str, what: str, least: float, found: Ratio, limits: str) -> Result:
        return Result(
            name=name,
            what=what,
            command="make bench-batch",
            goal=f"≥ {least:g}",
            met=found.median >= least,
            ratio=found,
            figures=figures | {"rows": rows},
            limits=limits,
            load=measured.load,
            versions=versions(),
        )

    plain, bare = ratio(seconds["pipeline"], seconds["ours"]), ratio(best, seconds["ours"])
    return [
        made(
            "batch-pipeline",
            "texts a second: ours / transformers.pipeline, batches of 32 in file order",
            6,
            plain,
            f"the pipeline scores every {PLAIN_SHARE}rd row of ours, and its seconds are scaled",
        ),
        made(
            "batch-bare",
            "texts a second: ours / bare ONNX Runtime, the better of one by one and batched",
            0.9,
            bare,
            "",
        ),
    ]


def main() -> int:
    """Measure; 1 if a goal is missed."""
    models = prepare()
    on_server_cores()
    source, fewer = FOLDER / "rows.jsonl", FOLDER / "fewer-rows.jsonl"
    texts = [row["text"] for path in (TEST, VALID) for row in read_jsonl(path, 'run "make data"')]
    for path, rows in ((source, texts), (fewer, plain_texts := texts[::PLAIN_SHARE])):
        write_jsonl(path, ({"text": text} for text in rows))
    config = load(CONFIGS / "batch.yaml", BatchConfig)
    bare = Bare(models.transformer, open_encoder(models.transformer, MAX_TOKENS)(texts))
    with measuring(models, "file_rows.py", str(fewer), str(FOLDER / "scored-peer.jsonl")) as pipeline:
        cases = {
            "ours": lambda: ours(source, models.transformer, config),
            "bare, alone": bare.alone(),
            "bare, batched": bare.together(),
            "pipeline": lambda: pipeline() * len(texts) / len(plain_texts),
        }
        found = results(interleave(cases, ROUNDS), len(texts))
    for result in found:
        result.save()
    return int(not all(result.met for result in found))


if __name__ == "__main__":
    sys.exit(run(main))
