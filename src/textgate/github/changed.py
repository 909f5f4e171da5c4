"""Which files a checkout changes, asked of git."""

from __future__ import annotations

import re
import subprocess

COMMIT = re.compile(r"[0-9a-f]{40}")


def changed_files(base: str | None) -> tuple[str, ...] | None:
    """Return the files that differ between HEAD and where it left `base`; None if git cannot tell."""
    if base is None or not COMMIT.fullmatch(base):
        return None
    command = ["git", "diff", "--name-only", "--no-renames", "-z", f"{base}...HEAD"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    return None if done.returncode else tuple(filter(None, done.stdout.split("\0")))
