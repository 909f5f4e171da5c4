"""A small JSON file that people change while the service runs: read again then, unless the new one is broken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from textgate.errors import CannotTell
from textgate.files import read_text
from textgate.records import Record

AnyRecord = TypeVar("AnyRecord", bound=Record)
T = TypeVar("T")
log = logging.getLogger("textgate.access")


def read_record(path: Path, kind: type[AnyRecord], made_by: str) -> AnyRecord:
    """Read JSON through its type. Raises CannotTell with file and key, without the value, that may be secret."""
    text = read_text(path, made_by)
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise CannotTell(f"{path}: {where}: {first['msg']}: {made_by}") from None


class Watched(Generic[T]):
    """What a file says now."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        """Read it. Raises what `read` raises: there is nothing to keep yet."""
        self._path, self._read = path, read
        self._stamp = self._look()
        self._value = read(path)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def current(self) -> T:
        """Return what it says. One stat call (microseconds), so that a revoked key is revoked at the next request."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp  # first: what changes while we read differs from it again
            try:
                self._value = self._read(self._path)
                log.info("%s was read again", self._path)
            except (CannotTell, OSError) as error:
                log.error("%s: what it said before stays in force", error)  # noqa: TRY400 - no traceback: it is known
        return self._value
