"""Runs in Weights & Biases: sent if WANDB_API_KEY is there, else kept under wandb/ until `wandb sync` sends them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

# Before the import: it reads these, and would print and report without them.
os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
os.environ.setdefault("WANDB_PROJECT", "textgate")

import wandb  # type: ignore[import-not-found, unused-ignore]

from textgate.tracking.confusion import draw
from textgate.tracking.entry import Entry


class WandbRuns:
    """A run's id is the start of its key, so that a later stage goes on with it; a sweep is a group."""

    def add(self, entry: Entry) -> None:
        """Start the run or go on with it, and add to it."""
        run = wandb.init(
            id=entry.key[:16],
            name=entry.name,
            mode=_mode(),
            resume="allow" if _mode() == "online" else None,  # offline, `wandb sync` puts the parts together
            job_type=entry.about,
            group=(entry.parent or entry).key[:16] if entry.about != "bundle" else None,
            settings=_quiet(),
        )
        try:
            _fill(run, entry)
        finally:
            run.finish()


def _fill(run: Any, entry: Entry) -> None:
    if entry.params:
        run.config.update(entry.params, allow_val_change=True)
    run.summary.update(entry.metrics | {entry.about: entry.key} | entry.tags)
    for epoch in entry.epochs:
        figures = epoch.model_dump(exclude={"epoch"})
        run.log({f"epoch.{key}": value for key, value in figures.items()}, step=epoch.epoch)
    if entry.scores is not None:
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "confusion.png"
            draw(entry.scores).savefig(picture)
            run.log({"confusion": wandb.Image(str(picture))})


def _mode() -> Any:
    """Return the mode that was asked for; without a key wandb would ask for one, and a run waits for nobody."""
    return os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")


def _quiet() -> wandb.Settings:
    """Return settings that send what an entry holds, and neither host, user, packages nor code."""
    return wandb.Settings(
        console="off",
        host="",
        x_save_requirements=False,
        x_disable_machine_info=True,
        login_timeout=10,
        init_timeout=20,
        finish_timeout=60,
        finish_timeout_raises=True,
    )
