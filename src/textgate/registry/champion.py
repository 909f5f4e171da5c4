"""The production model for `make pr`: asked for at the registry, fetched once, and verified each time."""

from __future__ import annotations

from pathlib import Path

from textgate.bundle import verify
from textgate.choose import bundle_in
from textgate.errors import TextgateError
from textgate.records import BUILD
from textgate.registry.protocol import Registry

FOLDER = BUILD / "champion"


def champion_folder(registry: Registry, to: Path = FOLDER) -> str:
    """Return the folder that holds the champion, fetched unless it is there; "none" only if the registry says so."""
    version = registry.current()
    if version is None:
        return "none"
    if not _is_there(registry, version, to):
        registry.fetch(version, to)
    return str(to)


def _is_there(registry: Registry, version: str, folder: Path) -> bool:
    try:
        bundle, release = bundle_in(folder)
        if release is None or release.version != version:
            return False
        verify(bundle, release.bundle_digest)
    except TextgateError:  # a damaged copy is fetched anew
        return False
    return registry.find_digest(release.bundle_digest, version) == version
