"""What is measured: from the judged bundle in build/model, one bundle of each kind, and the same network for torch."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT

from textgate.bundle import Manifest, replace_folder, seal, verify
from textgate.config import CONFIGS, Experiment, load
from textgate.errors import CannotTell
from textgate.train.weights import base_folder

MODEL, FOLDER = ROOT / "build" / "model", ROOT / "build" / "bench"
EXPERIMENTS = {"transformer": "002_transformer.yaml", "tfidf": "001_baseline.yaml"}
DATA = ROOT / "build" / "data"
TEST, VALID, TRAIN = DATA / "test.jsonl", DATA / "valid.jsonl", DATA / "train.jsonl"


@dataclass(frozen=True)
class Models:
    """Folders: a bundle of each kind, and a fine-tunable copy of the transformer's base for transformers."""

    transformer: Path
    tfidf: Path
    torch: Path


def prepare() -> Models:
    """Make them in build/bench. Raises CannotTell if there is no judged ensemble, Refused if it was altered."""
    manifest = verify(MODEL)
    if manifest.kind != "ensemble" or not TEST.is_file():
        raise CannotTell('build/model is no ensemble: run "make pr" first')
    return Models(_sealed("transformer", manifest), _sealed("tfidf", manifest), _torch(manifest))


def _sealed(kind: str, manifest: Manifest) -> Path:
    """Seal a copy of one part as a bundle of its own."""
    folder = FOLDER / "models" / kind
    made = folder.with_name(f".{kind}")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(MODEL / kind, made)
    same: dict[str, Any] = manifest.model_dump(
        include=set(manifest.__class__.model_fields) - {"files", "schema_version"}
    )
    changed = {"kind": kind, "config": _experiment(kind), "parts": (), "reference": manifest.reference}
    seal(made, **same | changed)
    replace_folder(made, folder)
    return folder


def _experiment(kind: str) -> Experiment:
    return load(CONFIGS / "experiments" / EXPERIMENTS[kind], Experiment)


def _torch(manifest: Manifest) -> Path:
    """Save the base with a fresh head, in 32 bits: what it says is of no use, how fast it says it is what is measured.

    The bundle holds no torch weights; a fine-tuned network of the same shape is exactly as fast.
    """
    folder = FOLDER / "models" / "torch"
    if folder.is_dir():
        return folder
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model_config = _experiment("transformer").model
    if model_config.kind != "transformer":
        raise CannotTell(f"{EXPERIMENTS['transformer']} is no transformer")
    base = base_folder(model_config.base)
    names = dict(enumerate(manifest.labels))
    made = folder.with_name(".torch")
    AutoModelForSequenceClassification.from_pretrained(base, id2label=names, num_labels=len(names)).save_pretrained(
        made
    )
    AutoTokenizer.from_pretrained(base).save_pretrained(made)
    replace_folder(made, folder)
    return folder
