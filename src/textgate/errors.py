"""What can go wrong, as types whose exit code is their meaning: 1 refused, 2 cannot tell."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path


class TextgateError(Exception):
    """One clear line for the person at the keyboard: what, where, and what to do next."""

    exit_code = 2
    word = "cannot tell"


class Refused(TextgateError):
    """A check was made and its answer is no."""

    exit_code = 1
    word = "refused"


class CannotTell(TextgateError):
    """A check could not be made: something is missing, broken or foreign."""


def run(main: Callable[[], int | None]) -> int:
    """Run a script's main function and turn what a user can cause into one line and an exit code.

    Returns 0, 1 (refused), 2 (cannot tell) or 130 (interrupted). Errors in our own code keep their traceback.
    """
    try:
        return main() or 0
    except TextgateError as error:
        return _tell(error)
    except KeyboardInterrupt:
        print("interrupted: run the same command again, finished stages are kept", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        place = error.filename or "the working folder"
        return _tell(CannotTell(f"{place}: {error.strerror}: free some space or rights, then run again"))


def _tell(error: TextgateError) -> int:
    """Print the line; also leave it in the file that TEXTGATE_REASON names, for whoever runs the stages."""
    print(f"{error.word}: {error}", file=sys.stderr)
    if name := os.environ.get("TEXTGATE_REASON"):
        with contextlib.suppress(OSError):
            Path(name).write_text(f"{error.exit_code} {error}", encoding="utf-8", errors="replace")
    return error.exit_code
