"""The production model for `make pr`: asked for at the registry, fetched once, and verified each time."""

from __future__ import annotations

from pathlib import Path

from textgate.records import BUILD
from textgate.registry.fetched import held
from textgate.registry.protocol import Registry

FOLDER = BUILD / "champion"


def champion_folder(registry: Registry, to: Path = FOLDER) -> str:
    """Return the folder that holds the champion, fetched unless it is there; "none" only if the registry says so."""
    version = registry.current()
    if version is None:
        return "none"
    release = held(to, version)
    if release is None or registry.find_digest(release.bundle_digest, version) != version:
        registry.fetch(version, to)
    return str(to)
