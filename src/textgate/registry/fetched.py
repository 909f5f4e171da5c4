"""The folder that a fetched release is left in: bundle/, and beside it release.json, the evidence and the card."""

from __future__ import annotations

import shutil
from pathlib import Path

from textgate import bundle
from textgate.choose import FETCHED, RELEASE
from textgate.errors import CannotTell
from textgate.evidence import Release
from textgate.release.archive import unpack
from textgate.release.assets import NOTES, SUMS, archive_name


def clear(to: Path) -> None:
    """Remove what an earlier fetch left: when this one fails, it must not pass for its result.

    Raises CannotTell for a folder that holds anything else.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    if not to.exists() and not to.is_symlink():
        return
    fetched = (to / RELEASE).is_file() and (to / FETCHED).is_dir()
    if to.is_symlink() or not to.is_dir() or not (fetched or not any(to.iterdir())):
        raise CannotTell(f"{to} holds something that no fetch left there: name a folder of its own")
    shutil.rmtree(to)


def settle(assets: Path, release: Release, to: Path) -> None:
    """Unpack the bundle of a checked folder of assets, verify it, and move the whole to `to`."""
    archive = assets / archive_name(release.bundle_digest)
    unpack(archive, assets / FETCHED)
    bundle.verify(assets / FETCHED, release.bundle_digest)
    for path in (archive, assets / SUMS, assets / NOTES):
        path.unlink()
    assets.rename(to)
