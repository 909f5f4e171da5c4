"""What can go wrong, as types whose exit code is their meaning: 1 refused, 2 cannot tell."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable


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
        print(f"{error.word}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: run the same command again, finished stages are kept", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        place = error.filename or "the working folder"
        print(f"cannot tell: {place}: {error.strerror}: free some space or rights, then run again", file=sys.stderr)
        return CannotTell.exit_code
