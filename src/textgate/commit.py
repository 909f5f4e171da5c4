"""The git commit that the working folder is at."""

from __future__ import annotations

import subprocess


def commit() -> str:
    """Return the git commit of the working folder, with "+changes" if tracked files differ, or "no git".

    The model card does not count: the run before wrote it.
    """
    differences = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!MODEL_CARD.md"]
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(differences, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "no git"
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
