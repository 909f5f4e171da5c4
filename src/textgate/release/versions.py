"""Version numbers, vX.Y.Z (semver without its suffixes): which one a text names, and which one comes next."""

from __future__ import annotations

from collections.abc import Iterable

from textgate.errors import Refused
from textgate.evidence import VERSION


def version_of(text: str) -> str:
    """Return the version that a person or a tag names, as v1.2.3; "1.2.3" is taken too. Raises Refused for others."""
    version = text if text.startswith("v") else f"v{text}"
    if not VERSION.fullmatch(version):
        raise Refused(f"{text[:40]!a} is not a version: name it like v1.2.3, three numbers without leading zeros")
    return version


def order(version: str) -> tuple[int, ...]:
    """Return what versions are sorted by: v0.10.0 comes after v0.9.0."""
    return tuple(map(int, version.removeprefix("v").split(".")))


def next_version(series: str, existing: Iterable[str]) -> str:
    """Return the version after the highest of the series "X.Y", or its first; names that are no versions do not count.

    Gaps are not filled: a version that was once given away never comes to mean something else.
    """
    patches = [order(name)[2] for name in existing if VERSION.fullmatch(name) and name.startswith(f"v{series}.")]
    return f"v{series}.{max(patches) + 1 if patches else 0}"
