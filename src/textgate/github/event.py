"""What the runner tells a job about its event: environment variables and the payload file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from textgate.errors import CannotTell
from textgate.files import read_text


def variable(name: str) -> str:
    """Return an environment variable. Raises CannotTell if it is not set, or empty."""
    if value := os.environ.get(name):
        return value
    raise CannotTell(f"{name} is not set: run this in a workflow, or set it as GitHub Actions does")


def payload() -> dict[str, Any]:
    """Return the event's payload. Raises CannotTell if GITHUB_EVENT_PATH names no JSON object."""
    path = Path(variable("GITHUB_EVENT_PATH"))
    try:
        found = json.loads(read_text(path, "run this in a workflow"))
    except (ValueError, RecursionError) as error:
        raise CannotTell(f"{path} is not JSON ({error}): run this in a workflow") from error
    if not isinstance(found, dict):
        raise CannotTell(f"{path} is not a JSON object: run this in a workflow")
    return found
