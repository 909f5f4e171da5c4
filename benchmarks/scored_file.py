"""Where batch scoring writes, made free: what a killed benchmark left there, the next one would want to go on with."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

from pathlib import Path


def remove(target: Path) -> None:
    """Remove a file of predictions, its rejects and whatever stands beside them while they grow."""
    for path in target.parent.glob(f"{target.name}*"):
        path.unlink()
