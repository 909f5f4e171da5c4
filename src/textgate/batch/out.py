"""Where answers go: a file that is whole or not there, or standard output.

While it grows it is called OUT.part, beside OUT.rejects.jsonl.part and OUT.state. What stands there behind the lengths
in OUT.state was written by a run that did not live to say so, and is cut off by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from textgate.batch.answer import Answer
from textgate.batch.state import State, read_state, sync_folder, write_state
from textgate.batch.written import to_parquet
from textgate.errors import CannotTell


class Out(Protocol):
    """What takes answers, in the order of the rows."""

    state: State

    def add(self, answer: Answer) -> None:
        """Append what a window gave."""

    def finish(self) -> None:
        """Say that this was all."""


class Pipe:
    """Standard output; rejects go to standard error."""

    def __init__(self, state: State, head: bytes) -> None:
        """Write the head. Raises CannotTell if standard output is closed."""
        if sys.stdout is None:
            raise CannotTell("standard output is closed: open it, or name a file")
        self.state = state
        _write(sys.stdout, head)

    def add(self, answer: Answer) -> None:
        """Append what a window gave. Raises CannotTell if nobody can take it, BrokenPipeError if nobody wants it."""
        _write(sys.stdout, answer.output)
        _write(sys.stderr, answer.rejects)
        self.state = _after(self.state, answer)

    def finish(self) -> None:
        """Everything is out already."""


class Files:
    """OUT and OUT.rejects.jsonl, and while they grow OUT.part, OUT.rejects.jsonl.part and OUT.state."""

    def __init__(self, out: Path, seconds: float) -> None:
        """Take the path of the output, and how many seconds of work may be lost by a kill."""
        self.out, self.rejects = out, _beside(out, ".rejects.jsonl")
        self.part, self.rejects_part = _beside(self.out, ".part"), _beside(self.rejects, ".part")
        self._state_path, self._seconds = _beside(out, ".state"), seconds
        self._afresh = f"to start afresh, remove {self.part}, {self.rejects_part} and {self._state_path}"
        self._committed = time.monotonic()

    @contextlib.contextmanager
    def begun(self, fresh: State, head: bytes) -> Iterator[Files]:
        """Go on where an earlier run of the same job was stopped, or begin with a head.

        Raises CannotTell if OUT or its rejects exist, if another run is at work on them, if what is left there is of
        another job, or if nothing can be written there.
        """
        with contextlib.ExitStack() as stack:
            with _written(self.out):
                self.out.parent.mkdir(parents=True, exist_ok=True)
                self.state = read_state(self._state_path, fresh.job, self._afresh) or fresh
                self._open(head, stack)
            yield self

    def _open(self, head: bytes, stack: contextlib.ExitStack) -> None:
        parts = (self.part, self.rejects_part)
        if self.state.whole:  # and some have their names already
            self._files = [_locked(path, stack) for path in parts if path.exists()]
            return
        for path in (self.out, self.rejects):
            if path.exists():
                raise CannotTell(f"{path} exists: name another output, or move it away")
        self._files = [_locked(path, stack) for path in parts]
        self._cut(head)

    def add(self, answer: Answer) -> None:
        """Append what a window gave; now and then, make it last and say so in OUT.state.

        Raises CannotTell if there is no room for it.
        """
        with _written(self.out):
            for file, content in zip(self._files, (answer.output, answer.rejects), strict=True):
                file.write(content)
            self.state = _after(self.state, answer)
            if time.monotonic() - self._committed >= self._seconds:
                self._commit()

    def _cut(self, head: bytes) -> None:
        """Cut off what no state speaks of."""
        lengths = (self.state.output_bytes, self.state.reject_bytes)
        for file, path, length in zip(self._files, (self.part, self.rejects_part), lengths, strict=True):
            if path.stat().st_size < length:
                raise CannotTell(f"{path} is shorter than {self._state_path} says: {self._afresh}")
            file.truncate(length)
            file.seek(length)
        if self.state.output_bytes == 0:
            self._files[0].write(head)
            self.state = self.state.model_copy(update={"output_bytes": len(head)})

    def _commit(self) -> None:
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        if self.state.job.source is not None:
            write_state(self._state_path, self.state)
        self._committed = time.monotonic()

    def finish(self) -> None:
        """Give the files their names. Stopped at any moment, the next run finishes it.

        Raises CannotTell if somebody else made a file of that name meanwhile, or if there is no room for Parquet.
        """
        with _written(self.out):
            if not self.state.whole:
                self.state = self.state.model_copy(update={"whole": True})
                self._commit()
            made = self._made()
            if self.rejects_part.exists() and not self.state.rejected:
                self.rejects_part.unlink()
            for path, name in ((self.rejects_part, self.rejects), (made, self.out)):
                if path.exists():
                    self._name(path, name)
            sync_folder(self.out.parent)
            self._state_path.unlink(missing_ok=True)

    def _name(self, path: Path, name: Path) -> None:
        """Rename a file, but not over another: hours may lie between the look before and now."""
        if name.exists():
            kept = self.state.job.source is not None
            then = "run the same command again" if kept else f"rename {path}, which is whole, yourself"
            raise CannotTell(f"{name} was made by somebody else meanwhile: move it away, and {then}")
        path.replace(name)

    def _made(self) -> Path:
        """Return where the whole output is: OUT.part, or what became of it as Parquet."""
        if self.state.job.written != "parquet":
            return self.part
        made = _beside(self.part, ".parquet")
        if self.part.exists():
            to_parquet(self.part, made)
            with made.open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(self.out.parent)  # a power cut must not take both
            self.part.unlink()
        return made


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


@contextlib.contextmanager
def _written(path: Path | str) -> Iterator[None]:
    """Let an error of the system name what could not be written. Raises CannotTell."""
    try:
        yield
    except BrokenPipeError:  # nobody reads any more: no error to tell
        raise
    except OSError as error:
        reason = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        raise CannotTell(f"{path} cannot be written ({reason}): mend that, and run the same command again") from error


def _write(stream: TextIO, content: bytes) -> None:
    """Write past the stream's own buffer: what failed there is tried again at Python's end, whose exit code is 120."""
    with _written(stream.name), os.fdopen(stream.fileno(), "wb", closefd=False) as file:
        file.write(content)


def _locked(path: Path, stack: contextlib.ExitStack) -> BinaryIO:
    """Open a file that no other run writes to, and make it if need be."""
    file = path.open("r+b" if path.exists() else "w+b")
    stack.callback(_close, file, path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CannotTell(f"{path}: another run is writing it: wait for its end, or name another output") from error
    return file


def _close(file: BinaryIO, path: Path) -> None:
    with _written(path):  # where the disk is full, what is still held cannot be written now either
        file.close()


def _after(state: State, answer: Answer) -> State:
    return state.model_copy(
        update={
            "place": answer.place,
            "scored": state.scored + answer.scored,
            "rejected": state.rejected + answer.rejected,
            "output_bytes": state.output_bytes + len(answer.output),
            "reject_bytes": state.reject_bytes + len(answer.rejects),
        }
    )
