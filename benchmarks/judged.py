"""What most benchmarks measure: rows and the model of a `make pr`, of the last run here, or of one for the purpose."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import shutil
from pathlib import Path

from harness import ROOT

from textgate.bundle import MANIFEST, replace_folder
from textgate.config import CONFIGS, DataConfig, Experiment, load
from textgate.data.sources import read_source
from textgate.train.weights import base_folder

BUILD = ROOT / "build"
TAKEN = ("data", "model")  # the model last: what is there if it is there is whole


def fetch() -> None:
    """Download rows and weights unless the cache has them: it is not the line that is measured.

    Raises CannotTell if they cannot be had.
    """
    data = load(CONFIGS / "data.yaml", DataConfig)
    for source in (data.source, data.external):
        if source is not None and source.kind != "file":
            read_source(source, data.labels)
    model = load(CONFIGS / "experiments" / "002_transformer.yaml", Experiment).model
    if model.kind == "transformer":
        base_folder(model.base)


def take_over(build: Path) -> None:
    """Copy rows and model from another project's build folder, unless this one has a model of its own."""
    if is_there():
        return
    BUILD.mkdir(exist_ok=True)
    for name in TAKEN:
        made = BUILD / f".{name}"
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(build / name, made)
        replace_folder(made, BUILD / name)


def is_there() -> bool:
    """Say whether a model was trained here."""
    return (BUILD / "model" / MANIFEST).is_file()
