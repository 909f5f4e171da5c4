"""Rows and an experiment in, two sealed bundles out: the candidate and the baseline that it has to beat."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgate.bundle import replace_folder, seal
from textgate.choose import Choice
from textgate.commit import commit
from textgate.config import Ensemble, Experiment, Tfidf, Transformer
from textgate.errors import CannotTell
from textgate.evidence import DataReport, Epoch, TrainReport
from textgate.files import sha256_bytes, sha256_file
from textgate.models.classifier import Probabilities, TextClassifier
from textgate.rows import Rows, read_split
from textgate.train.processes import ALONE, Processes
from textgate.train.remembered import Remembered

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from textgate.train.finetune import Task

LOCK = Path("requirements.txt")
CODE = Path(__file__).resolve().parent.parent
VERSIONS = ("numpy", "onnxruntime", "safetensors", "scikit-learn", "tokenizers", "torch", "transformers")


@dataclass
class Training:
    """One run: rows, choice, and what has been fitted so far, by experiment name."""

    choice: Choice
    data: DataReport
    train: Rows
    valid: Rows
    scratch: Path
    processes: Processes = ALONE
    fitted: dict[str, TextClassifier] = field(default_factory=dict)
    epochs: tuple[Epoch, ...] = ()
    earlier_seconds: float = 0.0  # of whole epochs that a run which was killed has left
    device: str = "cpu"
    precision: str = "float32"

    def fit(self, name: str) -> TextClassifier:
        """Return the trained model of an experiment; what two experiments share is trained once."""
        if name not in self.fitted:
            model = self.choice.experiments[name].model
            known = None
            if isinstance(model, Tfidf):
                found = self._fit_tfidf(model)
            elif isinstance(model, Transformer):
                found, known = self._fit_transformer(name, model)
            else:
                found = self._fit_ensemble(model)
            self.fitted[name] = Remembered(found, self.valid.texts, known)
        return self.fitted[name]

    def columns(self, rows: Rows) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return texts and label indices of a split."""
        return rows.texts, rows.targets(self.data.labels)

    def _fit_tfidf(self, model: Tfidf) -> TextClassifier:
        from textgate.models.tfidf import TfidfClassifier

        print("training tfidf", flush=True)
        texts, targets = self.columns(self.train)
        valid = self.columns(self.valid)
        return TfidfClassifier.fit(texts, targets, valid, self.data.labels, model, self.choice.train.seed)

    def _fit_ensemble(self, model: Ensemble) -> TextClassifier:
        from textgate.models.ensemble import EnsembleClassifier

        parts: dict[str, TextClassifier] = {}
        for part in model.parts:
            parts[self.choice.experiments[part].model.kind] = self.fit(part)
        return EnsembleClassifier.fit(parts, self.columns(self.valid), self.data.labels)

    def fine_tune(self, name: str, model: Transformer) -> tuple[PreTrainedModel, Path, Task]:
        """Return the network that all processes train together, the folder of its base, and the task."""
        import torch

        from textgate.train import devices, finetune
        from textgate.train.weights import base_folder

        torch.set_num_threads(self.choice.train.threads)
        self.device = devices.choose_device(self.choice.train.device)
        self.precision = str(devices.precision(self.device)).removeprefix("torch.")
        with self.processes.first_alone():
            base = base_folder(model.base)
        if self.processes.rank == 0:
            together = f" in {self.processes.count} processes" if self.processes.count > 1 else ""
            print(f"training transformer on {self.device} in {self.precision}{together}", flush=True)
        train, valid = self.columns(self.train), self.columns(self.valid)
        task = finetune.Task(train, valid, self.data.labels, model, self.choice.train.seed, self.device)
        checkpoint = self.scratch / f"{name}-{self._settings(model)[:16]}.safetensors"
        with devices.memory_errors():
            network, self.epochs, earlier = finetune.finetune(task, base, checkpoint, self.processes)
        self.earlier_seconds += earlier
        return network, base, task

    def _fit_transformer(self, name: str, model: Transformer) -> tuple[TextClassifier, Probabilities]:
        from textgate.train.export import save_transformer

        network, base, task = self.fine_tune(name, model)
        return save_transformer(network, base, task, Path(tempfile.mkdtemp(dir=self.scratch)))

    def _settings(self, model: Transformer) -> str:
        """Return a hash of all that the weights depend on: a checkpoint of anything else must not be gone on with."""
        code = (file for folder in ("train", "models") for file in sorted(CODE.joinpath(folder).glob("*.py")))
        hashes = map(sha256_file, (LOCK, *code))
        machine = f"{self.device} {self.precision} {self.processes.count}"
        settings = (self.data.fingerprint, self.choice.train.model_dump_json(), model.model_dump_json(), machine)
        return sha256_bytes("\n".join((*hashes, *settings)).encode())


def train(choice: Choice, data: DataReport, build: Path, processes: Processes = ALONE) -> TrainReport | None:
    """Train baseline and candidate, seal them in build/baseline and build/model, and return the report.

    Of several processes, all but the first help with the transformer, and return None. Raises CannotTell if a label has
    no training or validation row, or if the base weights cannot be had.
    """
    started = time.monotonic()
    with processes.first_alone():
        run = _training(choice, data, build, processes)
    if processes.count > 1:  # before the first one does anything else: the others wait half an hour, and no longer
        for name, experiment in choice.experiments.items():
            if isinstance(experiment.model, Transformer):
                run.fine_tune(name, experiment.model) if processes.rank else run.fit(name)
    if processes.rank:
        return None
    names = {"baseline": choice.train.baseline, "candidate": choice.train.experiment}
    digests = {
        role: _seal(run, name, build / ("model" if role == "candidate" else role)) for role, name in names.items()
    }
    valid_macro_f1 = _validation(run, names)
    shutil.rmtree(run.scratch)  # a checkpoint is for a run that was killed; this one is finished
    return TrainReport(
        bundle_digest=digests["candidate"],
        baseline_digest=digests["baseline"],
        data_fingerprint=data.fingerprint,
        experiment=choice.train.experiment,
        device=run.device,
        threads=choice.train.threads,
        processes=processes.count,
        precision=run.precision,
        epochs=run.epochs,
        valid_macro_f1=valid_macro_f1,
        seconds=round(run.earlier_seconds + time.monotonic() - started, 3),
        peak_memory_mb=megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sys.platform),
    )


def _training(choice: Choice, data: DataReport, build: Path, processes: Processes) -> Training:
    if not LOCK.is_file():
        raise CannotTell(f"{LOCK} is missing: run this in the repository's folder, or restore the file with git")
    scratch, folder = build / "checkpoints", build / "data"
    scratch.mkdir(parents=True, exist_ok=True)
    run = Training(choice, data, read_split("train", folder), read_split("valid", folder), scratch, processes)
    check_labels(run)
    return run


def megabytes(maxrss: int, system: str) -> float:
    """Return getrusage's peak memory in MB: macOS counts it in bytes, Linux in KiB."""
    return round(maxrss / (1024**2 if system == "darwin" else 1024), 1)


def check_labels(run: Training) -> None:
    """Raise CannotTell if a label has no training or no validation row."""
    for split, rows in (("training", run.train), ("validation", run.valid)):
        there = set(rows.labels)
        for label in run.data.labels:
            if label not in there:
                raise CannotTell(f'label {label!r} has no {split} row: add rows, then run "make data"')


def _seal(run: Training, name: str, target: Path) -> str:
    """Save one trained experiment as a sealed bundle and return its digest."""
    experiment = run.choice.experiments[name]
    classifier = run.fit(name)
    with tempfile.TemporaryDirectory(dir=run.scratch) as temporary:
        folder = Path(temporary) / "bundle"
        folder.mkdir()
        classifier.save(folder)
        digest = seal(folder, **_made_from(run, name, experiment))
        replace_folder(folder, target)
    return digest


def _made_from(run: Training, name: str, experiment: Experiment) -> dict[str, Any]:
    parts = experiment.model.parts if isinstance(experiment.model, Ensemble) else ()
    versions = {package: importlib.metadata.version(package) for package in VERSIONS}
    return {
        "kind": experiment.model.kind,
        "labels": run.data.labels,
        "experiment": name,
        "config": experiment,
        "parts": tuple(run.choice.experiments[part] for part in parts),
        "seed": run.choice.train.seed,
        "data_fingerprint": run.data.fingerprint,
        "commit": commit(),
        "lock_sha256": sha256_file(LOCK),
        "versions": versions | {"python": platform.python_version()},
        "reference": run.data.reference,
    }


def _validation(run: Training, names: dict[str, str]) -> dict[str, float]:
    """Return macro-F1 on the validation rows by role and, for an ensemble's parts, by experiment."""
    from sklearn.metrics import f1_score

    texts, targets = run.columns(run.valid)
    by_experiment = {}
    for name, model in run.fitted.items():
        found = model.predict_proba(texts).argmax(axis=1)
        by_experiment[name] = float(f1_score(targets, found, average="macro", zero_division=0))
    roles = {role: by_experiment.pop(name) for role, name in names.items() if name in by_experiment}
    roles.setdefault("candidate", roles.get("baseline", 0.0))  # the baseline itself is the candidate
    return roles | by_experiment
