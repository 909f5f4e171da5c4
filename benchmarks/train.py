"""`make bench-train`: fine-tuning beside transformers.Trainer, on the same base, rows, epochs, batch size and cores."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness import ROOT, SEED, Ratio, Result, Rounds, interleave, ratio, versions
from sklearn.metrics import f1_score

from textgate.config import CONFIGS, DataConfig, Experiment, TrainConfig, load
from textgate.errors import CannotTell, run
from textgate.evaluate.compare import f1_deltas
from textgate.files import read_jsonl, write_text
from textgate.train.weights import base_folder

FOLDER, DATA = ROOT / "build" / "bench" / "train", ROOT / "build" / "data"
PEER, PYTHON = ROOT / "benchmarks" / "peers" / "train_hf.py", ROOT / ".venv-bench" / "bin" / "python"
CORES = frozenset(sorted(os.sched_getaffinity(0))[:2])
ROUNDS = 2
# Of each round; and of the one training that shows that both learn the same. All rows would take twice as long; of half
# as many the peer had not learned enough (macro-F1 0.61, ours 0.90), and nothing would be compared.
ROWS = {"round": {"train": 480, "valid": 96}, "longer": {"train": 3200, "valid": None}}
SETTINGS = ("max_tokens", "batch_size", "learning_rate", "epochs", "warmup_share", "freeze_layers")
OURS, TOGETHER = "ours", "ours, two processes of one thread"
TUNED, TUTORIAL = "Trainer, tuned, same parts frozen", "Trainer, tutorial"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@dataclass
class Bench:
    """Rows of the rounds and of the longer training, and the processor seconds that each case took."""

    base: Path
    labels: tuple[str, ...]
    rows: Mapping[str, dict[str, Any]]
    processor: dict[str, list[float]] = field(default_factory=dict)

    def trained(self, name: str, rows: str, *, peer: str = "", by: tuple[str, ...] = ()) -> dict[str, Any]:
        """Train in a process of its own, on two cores, and return what it prints last."""
        path = FOLDER / f"{rows}.json"
        ours = (sys.executable, *by, ROOT / "benchmarks" / "train_ours.py", self.base, path)
        done = subprocess.run(
            (PYTHON, PEER, peer, self.base, path) if peer else ours,
            cwd=ROOT,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1", "GOMP_SPINCOUNT": "2000"},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, CORES),
        )
        if done.returncode:
            raise CannotTell(f"{name}: ended with {done.returncode}: {done.stderr[-500:]}: mend it, then run again")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def case(self, name: str, peer: str = "") -> Callable[[], float]:
        """Return what trains on the rows of a round and returns its seconds."""

        def measure() -> float:
            found = self.trained(name, "round", peer=peer)
            self.processor.setdefault(name, []).append(found["processor_seconds"])
            return float(found["seconds"])

        return measure

    def together(self) -> float:
        """Return the seconds that two processes take for the rows of a round."""
        return float(self.trained(TOGETHER, "round", by=TORCHRUN)["seconds"])

    def tutorial(self) -> float:
        """Return the seconds of all steps, from a quarter of one, without optimiser, loading and scoring."""
        settings = self.rows["round"]["settings"]
        steps = -(-len(self.rows["round"]["train"]["labels"]) // settings["batch_size"]) * settings["epochs"]
        return float(self.trained(TUTORIAL, "round", peer="tutorial")["step_seconds"]) * steps


def prepare() -> Bench:
    """Write the rows. Raises CannotTell if build/data does not hold them."""
    model = load(CONFIGS / "experiments" / "002_transformer.yaml", Experiment).model
    if model.kind != "transformer":
        raise CannotTell("002_transformer is no transformer")
    labels = load(CONFIGS / "data.yaml", DataConfig).labels
    settings = {"seed": load(CONFIGS / "train.yaml", TrainConfig).seed} | {key: getattr(model, key) for key in SETTINGS}
    splits = {split: list(read_jsonl(DATA / f"{split}.jsonl", 'run "make data"')) for split in ("train", "valid")}
    for found in splits.values():
        random.Random(SEED).shuffle(found)  # noqa: S311 - an order, no secret; the files hold one source after the other
    rows = {}
    for name, limit in ROWS.items():
        chosen = {
            split: {
                "texts": [row["text"] for row in found[: limit[split]]],
                "labels": [labels.index(row["label"]) for row in found[: limit[split]]],
            }
            for split, found in splits.items()
        }
        rows[name] = {**chosen, "labels": labels, "settings": settings}
        write_text(FOLDER / f"{name}.json", json.dumps(rows[name]))
    return Bench(base_folder(model.base), labels, rows)


def made(name: str, what: str, least: float, found: Ratio, load: tuple[float, ...], **more: Any) -> Result:
    """Return a result of this script."""
    more = {"met": found.median >= least, "limits": ""} | more
    return Result(
        name=name,
        what=what,
        command="make bench-train",
        goal=f"≥ {least:g}",
        ratio=found,
        load=load,
        versions=versions(),
        **more,
    )


def longer(bench: Bench) -> tuple[dict[str, float | str], bool]:
    """Train ours and the nearest peer on more rows; return the figures, and whether ours is not worse."""
    found = {OURS: bench.trained(OURS, "longer"), TUNED: bench.trained(TUNED, "longer", peer="tuned")}
    truth = np.array(bench.rows["longer"]["valid"]["labels"])
    predicted = {name: np.array(one["predicted"]) for name, one in found.items()}
    delta = f1_deltas(truth, predicted[OURS], predicted[TUNED], bench.labels)[0].delta
    rows = len(bench.rows["longer"]["train"]["labels"])
    figures: dict[str, float | str] = {
        f"{name}, {rows} rows (s)": round(one["seconds"], 1) for name, one in found.items()
    }
    for name, one in predicted.items():
        figures[f"{name}, {rows} rows: validation macro-F1"] = f"{f1_score(truth, one, average='macro'):.4f}"
    figures["macro-F1, ours - tuned (95 % interval)"] = f"{delta.value:+.4f} ({delta.low:+.4f}, {delta.high:+.4f})"
    return figures, delta.high >= 0


def results(bench: Bench, measured: Rounds, figures: dict[str, float | str], *, not_worse: bool) -> list[Result]:
    """Return the two ratios."""
    rows = len(bench.rows["round"]["train"]["labels"])
    seconds = {f"{name}, {rows} rows (s)": round(v, 1) for name, v in measured.medians(*measured.figures).items()}
    used = {
        f"processor seconds of {TUNED} / {OURS}": str(ratio(bench.processor[TUNED], bench.processor[OURS])),
        f"seconds of {TOGETHER} / {OURS}": str(measured.ratio(TOGETHER, OURS)),
    }
    same = seconds | used | figures
    scaled = (
        "ours whole; the tutorial's a quarter of a step, times four, times the steps: no optimiser, loading or scoring"
    )
    against = f"training on the same rows: {{}} / {OURS}"

    def one(name: str, peer: str, least: float, **more: Any) -> Result:
        what = f"seconds of {against.format(peer)}"
        return made(name, what, least, measured.ratio(peer, OURS), measured.load, figures=same, **more)

    return [
        one("train-tutorial", TUTORIAL, 15, limits=scaled),
        one("train-tuned", TUNED, 1.5, met=not_worse and measured.ratio(TUNED, OURS).median >= 1.5),
    ]


def main() -> int:
    """Measure; 1 if a goal is missed."""
    bench = prepare()
    cases = {OURS: bench.case(OURS), TUNED: bench.case(TUNED, "tuned")}
    measured = interleave(cases | {TOGETHER: bench.together, TUTORIAL: bench.tutorial}, ROUNDS)
    figures, not_worse = longer(bench)
    found = results(bench, measured, figures, not_worse=not_worse)
    for result in found:
        result.save()
    return int(not all(result.met for result in found))


if __name__ == "__main__":
    sys.exit(run(main))
