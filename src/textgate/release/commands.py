"""The two ways to ask for a release: a person names its version; a workflow gives a tag, or takes the next version."""

from __future__ import annotations

from pathlib import Path

from textgate.github.api import repository
from textgate.registry.github import GitHubReleases
from textgate.release.release import NEXT, Made, release_as, release_from
from textgate.release.sign import Signer
from textgate.release.superseded import superseded_by


def release_for_person(judged: Path, out: Path, version: str, by: Signer | None) -> Made:
    """Build a release under the version that a person names, for the registry of configs/registry.yaml."""
    from textgate.registry.chosen import chosen_registry  # brings MLflow, which the workflow does without

    return release_as(judged, out, chosen_registry(), version, by)


def release_for_workflow(judged: Path, out: Path, series: str, tag: str, by: Signer | None) -> Made:
    """Build a release for GitHub, unless it is there already or, as NEXT, production has gone on meanwhile."""
    github = repository()
    if tag == NEXT and (newer := superseded_by(github, judged)):
        return Made("", "", "superseded", f"{newer}, the champion, was made from a later commit: nothing to do")
    return release_from(judged, out, GitHubReleases(github), series, tag, by)
