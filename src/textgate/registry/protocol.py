"""What a registry is: the one interface that MLflow and GitHub releases both have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from textgate.evidence import Release
from textgate.registry.history import Event


class Registry(Protocol):
    """Released versions, of which at most one is the champion. Killed at any moment, the same call finishes the work.

    Methods raise Refused for a no, and CannotTell if the store cannot be asked or is not as it was left.
    """

    def current(self) -> str | None:
        """Return the champion's version; None only if the registry itself says that there is none."""

    def challenger(self) -> str | None:
        """Return the newest version, if it was never the champion and came after it."""

    def versions(self) -> tuple[str, ...]:
        """Return the versions that may serve, newest first."""

    def names(self) -> frozenset[str]:
        """Return the names that are taken, retired ones too."""

    def find_digest(self, digest: str, version: str | None = None) -> str | None:
        """Return the newest version of a bundle, None if it was never released; or ask about one version."""

    def register(self, folder: Path) -> tuple[Release, Literal["new", "already"]]:
        """Take in a release folder, without making it the champion. What is there is never overwritten."""

    def fetch(self, version: str, to: Path) -> Release:
        """Leave a version in the folder `to`, verified: bundle/, release.json, the evidence, the card."""

    def promote(self, version: str, over: str | None = None, moving: Callable[[], object] = lambda: None) -> str | None:
        """Make a version the champion and return the one it replaced; None if it replaced no other.

        `over` is said by a rollback: the champion that it was decided against, and that must still be it. `moving` is
        called when nothing stands against it any more, before anything changes.
        """

    def restore(self, previous: str | None, failed: str) -> str | None:
        """Go back to the version before one that failed, retire that one, and return the champion."""

    def history(self) -> tuple[Event, ...]:
        """Return how the champion changed, oldest first."""

    def retire(self, version: str) -> None:
        """Mark a version so that it never serves again. Raises Refused for the champion."""
