"""What can go wrong, as types whose exit code is their meaning: 1 refused, 2 cannot tell."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

FULL = "No space left on device"  # shutil and libraries in Rust say it in their text alone, without an errno

ROOM = "free some space or rights, then run again"
CURES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS), ROOM)
CURES |= dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "name another place, or move what is there away")


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


def run(main: Callable[[], int | None]) -> int:  # noqa: PLR0911 - one return for each way to end
    """Run a script's main function and turn what a user can cause into one line and an exit code.

    Returns 0, 1 (refused), 2 (cannot tell) or 130 (interrupted). Errors in our own
    code keep their traceback, and end as `cannot tell`.
    """
    try:
        return main() or 0
    except TextgateError as error:
        return _tell(error)
    except KeyboardInterrupt:
        if "TEXTGATE_STAGE" not in os.environ:  # Ctrl-C reaches a stage and whoever runs it, who says it once
            print("interrupted: run the same command again, finished stages are kept", file=sys.stderr)
        return 130
    except MemoryError:
        return _tell(CannotTell("out of memory: close other programs, or take a smaller batch_size or fewer rows"))
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CannotTell.exit_code
    except Exception as error:  # noqa: BLE001 - shown with its traceback below
        if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("textgate"):
            why = f"{error.name} is not installed in {sys.prefix}: take the environment that make takes for this"
            return _tell(CannotTell(f"{why} (.venv, or such as .venv-serve)"))
        cure = CURES.get(getattr(error, "errno", None) or 0) or (ROOM if FULL in str(error) else None)
        if cure is None:
            traceback.print_exc()  # and not Python's exit code 1, which would read as "refused"
            kind = type(error).__name__
            return _tell(CannotTell(f"a defect in textgate, {kind}: {error}: please report it with the lines above"))
        place = getattr(error, "filename", None) or "the working folder"
        reason = getattr(error, "strerror", None) or FULL
        return _tell(CannotTell(f"{place}: {reason}: {cure}"))


def _tell(error: TextgateError) -> int:
    """Print the line; also leave it in the file that TEXTGATE_REASON names, for whoever runs the stages."""
    line = " ".join(str(error).split())
    print(f"{error.word}: {line}", file=sys.stderr)
    if name := os.environ.get("TEXTGATE_REASON"):
        with contextlib.suppress(OSError):
            Path(name).write_text(f"{error.exit_code} {line}", encoding="utf-8", errors="replace")
    return error.exit_code
