"""The commands of scripts/registry.py: each asks a registry once, says what came of it and gives it to the workflow."""

from __future__ import annotations

from pathlib import Path

from textgate.github.api import output
from textgate.registry.fetched import clear
from textgate.registry.github import GitHubReleases
from textgate.release.versions import version_of

CHAMPION = "champion"


def fetch(registry: GitHubReleases, version: str, to: Path) -> None:
    """Fetch a version, or the champion. Outputs: champion, a folder or "none"; version, empty where there is none."""
    clear(to)
    found = registry.current() if version == CHAMPION else version_of(version)
    if found is None:
        print("no version was ever released: there is no production model yet")
    else:
        release = registry.fetch(found, to)
        print(f"{release.version} is in {to}: bundle {release.bundle_digest[:12]}, every file verified")
    output(CHAMPION, "none" if found is None else str(to))
    output("version", found or "")


def register(registry: GitHubReleases, folder: Path) -> None:
    """Publish a release folder. Outputs: version; state, new or already."""
    release, state = registry.register(folder)
    words = {"new": "is published, and not yet the champion", "already": "was there already, with the same content"}
    print(f"{release.version} {words[state]}")
    output("version", release.version)
    output("state", state)


def promote(registry: GitHubReleases, version: str) -> None:
    """Make a version the champion. Output: previous, the one it replaced; empty if there was no other."""
    wanted = version_of(version)
    previous = registry.promote(wanted)
    print(f"{wanted} is the champion, " + (f"{previous} was before" if previous else "and replaced no other"))
    output("previous", previous or "")


def restore(registry: GitHubReleases, previous: str, failed: str) -> None:
    """Go back to the version before, "" if there was none, and withdraw the one that failed."""
    back, withdrawn = version_of(previous) if previous else None, version_of(failed)
    champion = registry.restore(back, withdrawn)
    words = f"{champion} is the champion again" if champion else "there is no champion now"
    if champion != back:
        words = f"{champion} was promoted meanwhile and stays the champion"
    print(f"{withdrawn} failed its smoke test and is a pre-release now; {words}")


def current(registry: GitHubReleases) -> None:
    """Say which version is the champion. Output: version, empty if there is none yet."""
    found = registry.current()
    print(f"the champion is {found}" if found else "no version was ever released: there is no production model yet")
    output("version", found or "")
