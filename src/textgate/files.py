"""Files as the whole project reads and writes them: hashed, size-limited, and never half-written."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from textgate.errors import CannotTell

MAX_TEXT_BYTES = 64 * 1024 * 1024


def sha256_bytes(content: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, write: Callable[[Path], object], mode: int = 0o644) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write UTF-8 text (lone surrogates as U+FFFD) atomically."""
    content = text.encode("utf-8", "replace")
    write_atomically(path, lambda temporary: temporary.write_bytes(content), mode)


def read_text(path: Path, made_by: str) -> str:
    """Read UTF-8 text of at most 64 MiB, its line ends as they are.

    Raises CannotTell that names `made_by`, what the user runs or mends.
    """
    if not path.is_file():
        raise CannotTell(f"{path} is missing: {made_by}")
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise CannotTell(f"{path} is larger than {MAX_TEXT_BYTES >> 20} MiB: {made_by}")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotTell(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line, keys in the order given, atomically."""

    def write(temporary: Path) -> None:
        # A lone surrogate becomes its JSON escape, so that it is read back as it was.
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    write_atomically(path, write)


def read_jsonl(path: Path, made_by: str) -> Iterator[dict[str, Any]]:
    """Yield one JSON object a line. Raises CannotTell with file and line for anything else."""
    if not path.is_file():
        raise CannotTell(f"{path} is missing: {made_by}")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise CannotTell(f"{path}, line {number}: not a JSON object ({error}): {made_by}") from error
            if not isinstance(row, dict):
                raise CannotTell(f"{path}, line {number}: not a JSON object: {made_by}")
            yield row
