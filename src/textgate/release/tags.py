"""A tag on GitHub into the commit that it is on."""

from __future__ import annotations

import re

from textgate.errors import CannotTell
from textgate.github.api import GitHub

MOST_TAGS = 5  # annotated tags of annotated tags


def commit_of_tag(github: GitHub, tag: str) -> str | None:
    """Return the commit that a tag is on, None if there is no such tag; an annotated tag is followed to its commit."""
    found = github.find(f"git/ref/tags/{tag}")
    for _ in range(MOST_TAGS):
        if found is None:
            return None
        target = found.get("object") if isinstance(found, dict) else None
        kind, sha = (target.get("type"), target.get("sha")) if isinstance(target, dict) else (None, None)
        if not isinstance(sha, str) or not re.fullmatch(r"[0-9a-f]{40}", sha) or kind not in ("commit", "tag"):
            break
        if kind == "commit":
            return sha
        found = github.find(f"git/tags/{sha}")
    raise CannotTell(f"the tag {tag} leads to no commit: look at it on GitHub, and set it anew")
