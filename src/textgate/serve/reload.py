"""The place of one variant: the model in it, and the folder that the next one comes from.

Another model is loaded beside the old one, which answers meanwhile and afterwards ends what it began. One that is
refused changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from textgate.errors import TextgateError
from textgate.serve.batcher import Batcher
from textgate.serve.metrics import MODEL, MODEL_FAILURES, RELOADS
from textgate.serve.served import Scored, Served, Variant, open_served

LOG = logging.getLogger(__name__)
MOST_FILES = 200  # a fetched release has 20
Signature = tuple[str, tuple[tuple[str, int, int, int], ...]]


@dataclass(frozen=True)
class Loaded:
    """A model and its queue."""

    served: Served
    batcher: Batcher[Scored]


class Place:
    """The place of the champion, or of the challenger."""

    def __init__(self, variant: Variant, named: Path, batcher: Callable[[Served], Batcher[Scored]]) -> None:
        """Take the folder, or a link to it, and what makes the queue of a model."""
        self.variant, self._named, self._batcher = variant, named, batcher
        self.loaded: Loaded | None = None
        self._seen: object = ...  # what lay there at the last look; at first, nothing that could lie there

    async def open(self) -> None:
        """Load what lies in the folder at the start. Raises as `open_served` does."""
        self._seen = (await asyncio.to_thread(signature, self._named), None)
        await self._load(None)

    async def look(self, labels: frozenset[str] | None = None) -> None:
        """Load what lies in the folder now, if that is another model; what was refused is not tried twice.

        `labels` are those that it has to give, if they matter. A folder that is gone ends the challenger: so an
        experiment is ended. The champion goes on.
        """
        found = (await asyncio.to_thread(signature, self._named), labels)
        if found == self._seen:
            return
        self._seen = found
        try:
            if found[0] is None and self.variant == "challenger":
                LOG.info("challenger: %s is not there: nobody is asked beside the champion", self._named)
                await self.clear()
            elif await self._load(labels):
                RELOADS.labels(self.variant, "passed").inc()
        except TextgateError as error:
            RELOADS.labels(self.variant, "refused").inc()
            LOG.warning("%s: another model was not taken: %s", self.variant, error)
        except Exception:  # a full disk, too little memory: whatever it is, what serves goes on
            RELOADS.labels(self.variant, "refused").inc()
            LOG.exception("%s: another model could not be loaded, it will be tried again", self.variant)
            self._seen = ...
        if labels is not None and self.loaded is not None and self.loaded.served.labels != labels:
            await self.clear()

    async def clear(self) -> None:
        """Take the model out; what was asked of it is answered first."""
        old, self.loaded = self.loaded, None
        if old is not None:
            self._tell(old.served, 0)
            await old.batcher.stop()

    async def _load(self, labels: frozenset[str] | None) -> bool:
        """Load what lies in the folder and say whether it is another model."""
        old = self.loaded
        served = await asyncio.to_thread(open_served, self._named, old.served if old else None, labels)
        if old is not None and served.bundle is old.served.bundle:
            self._tell(old.served, 0)
            self.loaded = replace(old, served=served)
            self._tell(served, 1)
            return False
        if old is not None and served.labels != old.served.labels:
            LOG.warning("%s: other labels: %s", self.variant, ", ".join(sorted(served.labels)))
        self.loaded = Loaded(served, self._batcher(served))
        self._tell(served, 1)
        LOG.info("%s: %s, bundle %s", self.variant, served.version, served.bundle.digest[:12])
        if old is not None:
            self._tell(old.served, 0)
            await old.batcher.stop()
        return True

    def _tell(self, served: Served, number: int) -> None:
        bundle = served.bundle
        MODEL_FAILURES.labels(self.variant)  # 0 from the start: an alert needs to see it grow
        MODEL.labels(self.variant, served.version, bundle.digest, bundle.manifest.kind).set(number)


def signature(named: Path) -> Signature | None:
    """Return what changes when other files lie in a folder, or when a link to it moves on; None if it is not there.

    Names, sizes, times and inodes: a folder that is still being filled has another signature at each look.
    """
    try:
        folder = os.path.realpath(named, strict=True)
        paths = (Path(base, name) for base, _, names in os.walk(folder) for name in names)
        stats = [(str(path), path.lstat()) for path in islice(paths, MOST_FILES)]
    except (OSError, ValueError):  # not there, a circle of links, or no path at all
        return None
    return folder, tuple(sorted((path, found.st_size, found.st_mtime_ns, found.st_ino) for path, found in stats))
