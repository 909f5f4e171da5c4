"""OUT.state: how far a run came, and of which file and model it was, so that the next one goes on or says why not."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from textgate.batch.formats import Format
from textgate.batch.rows import Place
from textgate.errors import CannotTell
from textgate.files import read_text, sha256_bytes
from textgate.records import Count, Evidence, Positive, Record, Sha256

HEAD = 1 << 20  # bytes of an input that are hashed; a change further on shows in its size or its time


class Source(Record):
    """Which input: a file that was changed, or copied anew, is another one."""

    bytes: Count
    modified_ns: int
    head_sha256: Sha256


class Job(Record):
    """What the output depends on."""

    source: Source | None  # None: a pipe, which cannot be read again
    read: Format
    written: Format
    text_column: str
    row_bytes: Positive
    model_digest: Sha256
    model_version: str


class State(Evidence):
    """The whole file."""

    job: Job
    place: Place = Place()
    scored: Count = 0
    rejected: Count = 0
    output_bytes: Count = 0
    reject_bytes: Count = 0
    whole: bool = False  # all rows are written; what is left is to rename


def source_of(path: Path) -> Source:
    """Describe an input file. Raises CannotTell if it is missing or cannot be read."""
    try:
        if not path.is_file():
            what = "not a plain file" if path.exists() else "there is no such file"
            raise CannotTell(f"{path}: {what}: name one, or -")
        with path.open("rb") as file:
            head = sha256_bytes(file.read(HEAD))
        found = path.stat()
    except OSError as error:
        raise CannotTell(f"{path} cannot be read ({error.strerror}): mend that, or name another input") from error
    return Source(bytes=found.st_size, modified_ns=found.st_mtime_ns, head_sha256=head)


def read_state(path: Path, job: Job, afresh: str) -> State | None:
    """Return how far an earlier run of the same job came; None if there was none.

    Raises CannotTell, with what to do to start `afresh`, if the file cannot be read or is of another job.
    """
    if not path.exists():
        return None
    try:
        state = State.model_validate_json(read_text(path, afresh))
    except ValidationError as error:
        raise CannotTell(f"{path} was not written by batch.py: {afresh}") from error
    changed = [name for name in Job.model_fields if getattr(state.job, name) != getattr(job, name)]
    if changed:
        names = ", ".join({"source": "input"}.get(name, name.replace("_", " ")) for name in changed)
        raise CannotTell(f"{path}: an earlier run was stopped on its way, and since then changed: {names}: {afresh}")
    return state


def write_state(path: Path, state: State) -> None:
    """Write the file so that after a crash of the machine the old one is there, or the new one."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(state.model_dump_json().encode())
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
