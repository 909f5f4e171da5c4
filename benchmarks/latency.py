"""`make bench-latency`: one text at a time, and the first answer of a fresh process."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
import onnxruntime
from harness import ROOT, Result, Rounds, interleave, versions
from serve_models import FOLDER, TEST, Models, prepare
from serve_peer import environment, measuring, on_server_cores
from serve_servers import BENCH, PEERS, SERVE

from textgate.errors import CannotTell, run
from textgate.files import read_jsonl, write_jsonl
from textgate.models.classifier import open_bundle
from textgate.models.sessions import LONE_THREADS
from textgate.models.transformer import open_encoder

ROUNDS, COLD_ROUNDS = 27, 3  # many short ones: a ratio near its goal; a cold start varies by a few hundredths
TEXTS = 50
MAX_TOKENS = 48
BARE = f"bare session, {LONE_THREADS} threads"  # as many as a lone text of ours has
Input = TypeVar("Input")


def median_of(ask: Callable[[Input], object], inputs: Sequence[Input]) -> Callable[[], float]:
    """Return what asks about each input and returns the median seconds."""

    def measure() -> float:
        seconds = []
        for one in inputs:
            started = perf_counter()
            ask(one)
            seconds.append(perf_counter() - started)
        return statistics.median(seconds)

    return measure


def bare(model: Path, texts: Sequence[str], threads: int) -> Callable[[], float]:
    """Return what feeds ready tokens to a session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(str(model / "onnx" / "model.onnx"), options, ["CPUExecutionProvider"])
    rows = [np.array([row], np.int64) for row in open_encoder(model, MAX_TOKENS)(texts)]
    feeds = [{"input_ids": row, "attention_mask": np.ones_like(row)} for row in rows]
    return median_of(lambda feed: session.run(["logits"], feed), feeds)


def cold(models: Models, python: Path, *command: str) -> Callable[[], float]:
    """Return what starts a process and returns the seconds to its first answer, which ends it."""

    def measure() -> float:
        started = perf_counter()
        done = subprocess.run(
            [python, *command],
            cwd=ROOT,
            env=environment(models),
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=on_server_cores,
        )
        seconds = perf_counter() - started
        if done.returncode or not done.stdout.strip():
            raise CannotTell(f"{command[0]} gave no answer: {done.stderr[-300:]}")
        return seconds

    return measure


def result(
    name: str, what: str, measured: Rounds, pair: tuple[str, str], most: float, unit: float = 1000, limits: str = ""
) -> Result:
    """Return one goal; figures are in milliseconds, or seconds for a unit of 1."""
    found = measured.ratio(*pair)
    shown = "ms" if unit == 1000 else "s"
    medians = measured.medians(*measured.figures)
    return Result(
        name=name,
        what=what,
        command="make bench-latency",
        goal=f"≤ {most:g}",
        met=found.median <= most,
        ratio=found,
        figures={f"{case} ({shown})": round(value * unit, 3) for case, value in medians.items()},
        limits=limits,
        load=measured.load,
        versions=versions(),
    )


def main() -> int:
    """Measure; 1 if a goal is missed."""
    models = prepare()
    on_server_cores()
    texts = [row["text"] for row in read_jsonl(TEST, 'run "make data"')]
    texts = texts[:: max(1, len(texts) // TEXTS)][:TEXTS]
    rows = FOLDER / "latency.jsonl"
    write_jsonl(rows, ({"text": text} for text in texts))
    classifier = open_bundle(models.transformer).classifier
    for text in texts:  # after some, lone texts get their session with two threads
        classifier.predict_proba([text])
    with measuring(models, "one_text.py", str(rows), "1") as pipeline:
        cases = {
            "ours": median_of(lambda text: classifier.predict_proba([text]), texts),
            "bare session, one thread": bare(models.transformer, texts, 1),
            BARE: bare(models.transformer, texts, LONE_THREADS),
            "pipeline": pipeline,
        }
        warm = interleave(cases, ROUNDS)
    started = interleave(
        {
            "ours": cold(models, SERVE / "python", str(PEERS / "first_answer.py"), str(models.transformer), str(rows)),
            "pipeline": cold(models, BENCH / "python", str(PEERS / "one_text.py"), str(rows), "0"),
        },
        COLD_ROUNDS,
    )
    found = [
        result("latency-pipeline", "one text: ours / transformers.pipeline on torch", warm, ("ours", "pipeline"), 0.2),
        result(
            "latency-bare",
            f"one text: ours / a bare ONNX Runtime session fed with ready tokens, {LONE_THREADS} threads each",
            warm,
            ("ours", BARE),
            1.15,
        ),
        result("latency-cold", "process start to first answer: ours / pipeline", started, ("ours", "pipeline"), 0.5, 1),
    ]
    for one in found:
        one.save()
    return int(not all(one.met for one in found))


if __name__ == "__main__":
    sys.exit(run(main))
