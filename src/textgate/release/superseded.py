"""Whether production has gone on meanwhile: a slow run of an older commit must not replace a newer model."""

from __future__ import annotations

from pathlib import Path

from textgate import records
from textgate.errors import CannotTell
from textgate.evidence import VERSION
from textgate.github.api import GitHub
from textgate.registry.releases import latest
from textgate.release.assets import EVIDENCE
from textgate.release.tags import commit_of_tag
from textgate.verdicts import Gate

AHEAD = {"ahead": True, "identical": False, "behind": False, "diverged": False}


def superseded_by(github: GitHub, judged: Path) -> str | None:
    """Return the champion's version if it was made from a later commit than what was judged, else None.

    Later means that the judged commit is among its ancestors. Raises CannotTell if GitHub cannot say.
    """
    place, _, stage = EVIDENCE["gate"]
    commit, champion = records.read(judged / place, Gate, stage).judged_commit, latest(github)
    if commit is None or champion is None or not VERSION.fullmatch(champion):
        return None
    at = commit_of_tag(github, champion)
    if at is None or at == commit:
        return None
    status = github.get(f"compare/{commit}...{at}").get("status")
    if status not in AHEAD:
        raise CannotTell(
            f"GitHub cannot compare {commit[:12]} with {champion} ({status!a:.40}): is this the right host?"
        )
    return champion if AHEAD[status] else None
