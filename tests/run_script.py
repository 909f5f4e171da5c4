"""A script of the project as a workflow calls it: a process of its own, with its own process group."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# For what runs on a full disk: Python 3.11 leaves half a .pyc file there, which no later run could import.
UNCOMPILED = {"PYTHONDONTWRITEBYTECODE": "1"}


def run_script(name, *options, **environment):
    """Start scripts/NAME.py."""
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, options)]
    return subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process):
    """Return exit code, standard output and standard error."""
    out, err = process.communicate(timeout=600)  # on a busy machine the imports alone take minutes
    return process.returncode, out, err


def outputs(path):
    """Return what a step wrote into the file that GITHUB_OUTPUT named."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines())
