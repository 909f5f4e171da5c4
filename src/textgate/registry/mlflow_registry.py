"""MLflow as a registry: a version is a model version, its files are artifacts of a run, the champion is an alias.

A model version and its tags come into being in one transaction, after its files were put there and read back: there
is no half-registered one. An event is written before the alias moves; the alias decides what happened.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textgate.errors import CannotTell, Refused
from textgate.evidence import Release
from textgate.files import sha256_file
from textgate.registry.fetched import clear, settle
from textgate.registry.history import Event, in_effect
from textgate.registry.mlflow_changes import add, move, retire
from textgate.registry.mlflow_files import take_out
from textgate.registry.mlflow_rows import read_rows
from textgate.registry.mlflow_store import MODEL, Store
from textgate.registry.mlflow_versions import CHALLENGER, Kept, Shelf, read_shelf
from textgate.release.assets import SUMS, check

NOTHING = Shelf((), None, None, (), frozenset())


@dataclass(frozen=True)
class MlflowRegistry:
    """The registered model `textgate` of one MLflow store."""

    store: Store

    def current(self) -> str | None:
        """Return the champion's version; None if no version was promoted, or the only one was taken back."""
        shelf = self._shelf()
        last = max(shelf.events, key=lambda event: event.number, default=None)
        if shelf.champion is None and last is not None and last.version is not None:
            raise CannotTell(
                f"there is no champion, though {last.version} was to become it: promote it again (that was killed, or "
                "somebody removed its alias)"
            )
        return shelf.champion

    def challenger(self) -> str | None:
        """Return the version with the alias challenger, which is the newest one until it is promoted."""
        shelf = self._shelf()
        return None if shelf.challenger == shelf.champion else shelf.challenger

    def versions(self) -> tuple[str, ...]:
        """Return the versions that are not retired, newest first."""
        return tuple(kept.version for kept in reversed(self._shelf().versions) if kept.state == "complete")

    def names(self) -> frozenset[str]:
        """Return all versions, retired ones too."""
        return frozenset(kept.version for kept in self._shelf().versions)

    def find_digest(self, digest: str, version: str | None = None) -> str | None:
        """Return the newest unretired version of a bundle, None if there is none; or ask about one version."""
        for kept in reversed(self._shelf().versions):
            if kept.bundle_digest == digest and kept.state == "complete" and version in (None, kept.version):
                return kept.version
        return None

    def register(self, folder: Path) -> tuple[Release, Literal["new", "already"]]:
        """Take in a release folder, and make it the challenger. Killed and called again, it finishes the work.

        Raises Refused if the folder is not a whole release, or if the version is there with other content.
        """
        release, sums = check(folder), sha256_file(folder / SUMS)
        with self.store.changing() as client:
            shelf = read_shelf(client)
            found = shelf.find(release.version)
            if found is None:
                add(client, self.store, folder, release, sums, shelf)
                shelf = read_shelf(client)
            kept = shelf.find(release.version)
            if kept is None or kept.sums != sums or kept.state == "retired":
                what = "and retired" if kept is not None and kept.state == "retired" else "with other content"
                raise Refused(
                    f"{release.version} is released already, {what}: take another version, none is overwritten"
                )
            served = {event.version for event in in_effect(shelf.events, shelf.champion)}
            if kept == shelf.versions[-1] and kept.version not in served and shelf.challenger != kept.version:
                client.set_registered_model_alias(MODEL, CHALLENGER, str(kept.number))
        return release, "already" if found else "new"

    def fetch(self, version: str, to: Path) -> Release:
        """Copy a version, verify all of it, and leave it in the folder `to`.

        Raises Refused for anything missing, extra, changed or not vouched for, CannotTell if it cannot be had; `to`
        is then not there.
        """
        clear(to)
        kept = _must(self._shelf(), version)
        with self.store.reading() as client, tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as inner:
            assets = Path(inner, "assets")
            assets.mkdir()
            take_out(client, kept.run_id, version, assets)
            release = check(assets)
            if (release.version, release.bundle_digest, sha256_file(assets / SUMS)) != (
                version,
                kept.bundle_digest,
                kept.sums,
            ):
                raise Refused(f"the files of {version} are not those that were registered: take another version")
            settle(assets, release, to)
        return release

    def promote(self, version: str, over: str | None = None, moving: Callable[[], object] = lambda: None) -> str | None:
        """Make a version the champion and return the one it replaced; None if it replaced no other."""
        _must(self._shelf(), version)  # before a store is made
        with self.store.changing() as client:
            shelf = read_shelf(client)
            kept = _must(shelf, version)
            if over is not None and shelf.champion not in (None, over, version):
                raise Refused(f"{shelf.champion} was promoted over {over} meanwhile: nothing was changed, look again")
            moving()
            move(client, shelf, kept, rollback=over is not None)
        return shelf.champion if shelf.champion != version else None

    def restore(self, previous: str | None, failed: str) -> str | None:
        """Go back to the version before one that failed, retire that one, and return the champion, None for none.

        A third version, which somebody promoted meanwhile, stays the champion. Without a previous version only the
        first one that was ever registered can be taken back.
        """
        _known(self._shelf(), failed)
        with self.store.changing() as client:
            shelf = read_shelf(client)
            champion = shelf.champion
            if champion in (None, failed, previous):
                others = [
                    kept.version for kept in shelf.versions if kept.version != failed and kept.state == "complete"
                ]
                if previous is None and others:
                    raise CannotTell(
                        f"{failed} replaced no version, so there is no way back (there are {', '.join(others[:5])}): "
                        "promote one"
                    )
                move(client, shelf, _must(shelf, previous) if previous else None, rollback=True)
                champion = previous
            retire(client, read_shelf(client), _known(shelf, failed))
        return champion

    def history(self) -> tuple[Event, ...]:
        """Return how the champion changed, oldest first; what was moved by hand has no time and no name."""
        shelf = self._shelf()
        return in_effect(shelf.events, shelf.champion)

    def retire(self, version: str) -> None:
        """Mark a version so that it is never promoted or fetched again. Raises Refused for the champion."""
        _known(self._shelf(), version)
        with self.store.changing() as client:
            shelf = read_shelf(client)
            if shelf.champion == version:
                raise Refused(f"{version} is the champion: promote another version first")
            retire(client, shelf, _known(shelf, version))

    def _shelf(self) -> Shelf:
        if self.store.holds_nothing():
            return NOTHING
        if (shelf := read_rows(self.store)) is not None:
            return shelf
        with self.store.reading() as client:
            return read_shelf(client)


def _known(shelf: Shelf, version: str) -> Kept:
    kept = shelf.find(version)
    if kept is None:
        known = ", ".join(kept.version for kept in shelf.versions[:-6:-1]) or "none"
        raise Refused(f"{version} was never released (the newest: {known}): name one that was")
    return kept


def _must(shelf: Shelf, version: str) -> Kept:
    kept = _known(shelf, version)
    if kept.state == "retired":
        raise Refused(f"{version} is retired, so it is not for production: name another version")
    return kept
