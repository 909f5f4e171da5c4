"""Back to the version that served before, after its bundle and its evidence were checked."""

from __future__ import annotations

import tempfile
from pathlib import Path

from textgate.records import BUILD
from textgate.registry.history import way_back
from textgate.registry.protocol import Registry


def roll_back(registry: Registry) -> tuple[str, str]:
    """Make the version that served before the champion again and return it, and the one that it replaced.

    Said again, it does nothing: to go further back, a person promotes the version that they want. Raises Refused if
    there is no way back, if that version was retired, if its files are not those that were judged, if its scan did
    not pass, or if somebody else moved the champion meanwhile.
    """
    happened = registry.history()
    if happened and (last := happened[-1]).rollback and last.version and last.before:
        return last.version, last.before
    target, champion = way_back(happened), str(happened[-1].version)
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rollback.", dir=BUILD) as folder:
        registry.fetch(target, Path(folder, "release"))
        registry.promote(target, over=champion)
    return target, champion
