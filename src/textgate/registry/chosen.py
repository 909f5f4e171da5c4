"""Which registry this project uses: what TEXTGATE_REGISTRY says, else configs/registry.yaml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from textgate.config import CONFIGS, load
from textgate.errors import CannotTell
from textgate.github.api import repository
from textgate.records import Record
from textgate.registry.github import GitHubReleases
from textgate.registry.mlflow_registry import MlflowRegistry
from textgate.registry.mlflow_store import store
from textgate.registry.protocol import Registry

Kind = Literal["mlflow", "github"]
VARIABLE = "TEXTGATE_REGISTRY"


class RegistryConfig(Record):
    """configs/registry.yaml."""

    kind: Kind


def chosen_registry(configs: Path = CONFIGS) -> Registry:
    """Return the registry. Raises CannotTell for a kind that there is not, or a GitHub repository that is not named."""
    kind: str = os.environ.get(VARIABLE) or ""
    said_by = VARIABLE
    if VARIABLE not in os.environ:
        kind, said_by = load(configs / "registry.yaml", RegistryConfig).kind, f"kind in {configs / 'registry.yaml'}"
    if kind == "github":
        return _releases(said_by)
    if kind != "mlflow":
        raise CannotTell(f"{VARIABLE} is {kind[:40]!a}: set it to one of {', '.join(get_args(Kind))}, or not at all")
    return MlflowRegistry(store())


def _releases(said_by: str) -> Registry:
    try:
        return GitHubReleases(repository())
    except CannotTell as error:
        here = "GitHub's runners have it set, a laptop does not"
        raise CannotTell(
            f"{said_by} is github, so the registry is a repository's releases, but {error} ({here})"
        ) from error
