"""What the shells of a run's steps (tools/bash) wait for: a test that does its part, and all they said being heard."""

import contextlib
import fcntl
import os
from pathlib import Path

ENDED = "this step has failed, and waits at "  # what a shell says last; the rest of the line is a pipe


class Gate:
    """Shut until `open`: a file that is locked, and names the step that waits there."""

    def __init__(self, folder: Path, at_step: tuple[str, str] | None) -> None:
        """Shut it for a step: (job, step), the job by its key."""
        self._file = (folder / "gate").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        job, step = at_step or ("", "")
        self._file.write(f"{job.split('/')[-1]}/{step}\n")
        self._file.flush()

    def open(self) -> None:
        """Let the step go on, if it has begun."""
        self._file.close()


def heard(pipe: str) -> None:
    """Let the shell end that waits at a pipe, unless it was killed meanwhile."""
    with contextlib.suppress(OSError):
        end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(end, b"\n")
        finally:
            os.close(end)
