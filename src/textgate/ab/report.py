"""The audit log, and labels if there are any, into the A/B report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from textgate.ab.found import AbReport, Compared
from textgate.ab.judge import shadow, split
from textgate.ab.labels import Key
from textgate.ab.tally import Group, tally_shadow, tally_split
from textgate.ab.window import windows
from textgate.errors import CannotTell
from textgate.serve.audit.read import read


def report(
    folder: Path, group: Group, share: float | None, margin: float, truth: Mapping[Key, str], since: str
) -> AbReport:
    """Compare the latest challenger of a split, and of a shadow, with the champion beside it.

    The log is read twice, and checked on the way. `group` is what a split was made by, `share` what the challenger
    should have had (None: unknown); what was answered before the moment `since` does not count. Raises CannotTell if no
    challenger answered beside a champion, Refused if the log's chain does not hold.
    """
    compared: list[Compared] = []
    for window in windows(read(folder), since):
        events = (event for event in read(folder) if event.at >= since)
        if window.mode == "split":
            found = split(tally_split(events, window, group, truth), window, group, share, margin, truth)
        else:
            found = shadow(tally_shadow(events, window, truth), window, margin, truth)
        if found.champion.rows and found.challenger.rows:
            compared.append(found)
    if not compared:
        cure = "set `challenger` and `split` in configs/serve.yaml, and let it answer for a while"
        raise CannotTell(f"{folder}: no challenger answered beside a champion: {cure}")
    return AbReport(log=str(folder), margin=margin, compared=tuple(compared))
