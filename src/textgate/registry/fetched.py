"""The folder that a fetched release is left in: bundle/ in the place of the archive, and beside it all other assets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textgate import bundle
from textgate.choose import FETCHED, RELEASE, bundle_in
from textgate.errors import CannotTell, TextgateError
from textgate.evidence import Release
from textgate.release.archive import pack, unpack
from textgate.release.assets import archive_name, asset


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
    archive.unlink()
    assets.rename(to)


@contextmanager
def as_assets(folder: Path) -> Iterator[Path]:
    """Give a folder of assets: a fetched release with its bundle packed again, anything else as it is.

    The same bundle gives the same archive, so a list and a signature over it fit again. Raises Refused for a bundle
    that was altered, and for what is no plain file.
    """
    if not (folder / FETCHED).is_dir() or (folder / FETCHED).is_symlink():
        yield folder
        return
    manifest = bundle.verify(folder / FETCHED)
    with tempfile.TemporaryDirectory() as place:
        for path in folder.iterdir():
            if path.name != FETCHED:
                shutil.copyfile(asset(folder, path.name), Path(place, path.name))
        pack(folder / FETCHED, manifest, Path(place, archive_name(bundle.digest(folder / FETCHED))))
        yield Path(place)


def held(folder: Path, version: str) -> Release | None:
    """Return the release in a fetched folder if it is this version and whole; None for a damaged one, as for none."""
    try:
        path, release = bundle_in(folder)
        if release is None or release.version != version:
            return None
        bundle.verify(path, release.bundle_digest)
    except TextgateError:  # a damaged copy is fetched anew
        return None
    return release
