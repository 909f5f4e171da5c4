"""The commands of scripts/registry.py: each asks a registry once, says what came of it and gives it to the workflow."""

from __future__ import annotations

from pathlib import Path

from textgate.errors import Refused
from textgate.github.api import output
from textgate.registry.fetched import clear
from textgate.registry.history import replaced
from textgate.registry.protocol import Registry
from textgate.registry.rollback import roll_back
from textgate.registry.tables import comparison_table, history_table
from textgate.release.versions import version_of

CHAMPION, CHALLENGER = "champion", "challenger"
NONE_YET = "there is no production model yet: no version was ever promoted"


def fetch(registry: Registry, version: str, to: Path) -> None:
    """Fetch a version, or the champion. Outputs: champion, a folder or "none"; version, empty where there is none."""
    clear(to)
    found = registry.current() if version == CHAMPION else _named(registry, version)
    if found is None:
        print(NONE_YET)
    else:
        release = registry.fetch(found, to)
        print(f"{release.version} is in {to}: bundle {release.bundle_digest[:12]}, every file verified")
    output(CHAMPION, "none" if found is None else str(to))
    output("version", found or "")


def register(registry: Registry, folder: Path) -> None:
    """Publish a release folder. Outputs: version; state, new or already."""
    release, state = registry.register(folder)
    words = {"new": "is published, and not yet the champion", "already": "was there already, with the same content"}
    print(f"{release.version} {words[state]}")
    output("version", release.version)
    output("state", state)


def promote(registry: Registry, version: str) -> None:
    """Make a version the champion. Outputs: previous, the one it replaced, empty if there was no other; moving, true.

    Both are said before anything changes, so that a run that is killed in the middle of it can still be taken back;
    and of a version that is refused neither is said, so that there is nothing to take back.
    """
    wanted = version_of(version)
    before = replaced(registry.history(), wanted)

    def moving() -> None:
        output("previous", before or "")
        output("moving", "true")

    previous = registry.promote(wanted, moving=moving) or before
    if previous != before:  # somebody else promoted meanwhile
        output("previous", previous or "")
    print(f"{wanted} is the champion, " + (f"{previous} was before" if previous else "and replaced no other"))


def restore(registry: Registry, previous: str, failed: str) -> None:
    """Go back to the version before, "" if there was none, and withdraw the one that failed."""
    back, withdrawn = version_of(previous) if previous else None, version_of(failed)
    champion = registry.restore(back, withdrawn)
    words = f"{champion} is the champion again" if champion else "there is no champion now"
    if champion != back:
        words = f"{champion} was promoted meanwhile and stays the champion"
    print(f"{withdrawn} failed its smoke test and is a pre-release now; {words}")


def current(registry: Registry) -> None:
    """Say which version is the champion. Output: version, empty if there is none yet."""
    found = registry.current()
    print(f"the champion is {found}" if found else NONE_YET)
    output("version", found or "")


def rollback(registry: Registry) -> None:
    """Go back to the version that served before. Outputs: version; previous, the one that it replaced."""
    version, previous = roll_back(registry)
    print(f"{version} is the champion again in the place of {previous}; to go further back, promote a version")
    output("version", version)
    output("previous", previous)


def history(registry: Registry) -> None:
    """Say how the champion changed."""
    print(history_table(registry.history()))


def compare(registry: Registry, one: str, other: str) -> None:
    """Print the figures of two versions beside each other."""
    print(comparison_table(registry, version_of(one), version_of(other)))


def retire(registry: Registry, version: str) -> None:
    """Mark a version so that it never serves again."""
    registry.retire(version_of(version))
    print(f"{version_of(version)} is retired: it stays where it is, and is never promoted or fetched again")


def _named(registry: Registry, version: str) -> str:
    if version != CHALLENGER:
        return version_of(version)
    found = registry.challenger()
    if found is None:
        raise Refused("there is no challenger: register a version that is newer than the champion")
    return found
