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
from typing import BinaryIO, Protocol

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
        """Write the head."""
        self.state = state
        sys.stdout.buffer.write(head)

    def add(self, answer: Answer) -> None:
        """Append what a window gave."""
        sys.stdout.buffer.write(answer.output)
        sys.stdout.buffer.flush()
        sys.stderr.buffer.write(answer.rejects)
        sys.stderr.buffer.flush()
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

        Raises CannotTell if OUT or its rejects exist, if another run is at work on them, or if what is left there is of
        another job.
        """
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.state = read_state(self._state_path, fresh.job, self._afresh) or fresh
        parts = (self.part, self.rejects_part)
        with contextlib.ExitStack() as stack:
            if self.state.whole:  # and some have their names already
                self._files = [_locked(path, stack) for path in parts if path.exists()]
            else:
                for path in (self.out, self.rejects):
                    if path.exists():
                        raise CannotTell(f"{path} exists: remove it, or name another output")
                self._files = [_locked(path, stack) for path in parts]
                self._cut(head)
            yield self

    def add(self, answer: Answer) -> None:
        """Append what a window gave; now and then, make it last and say so in OUT.state."""
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
        """Give the files their names. Stopped at any moment, the next run finishes it."""
        if not self.state.whole:
            self.state = self.state.model_copy(update={"whole": True})
            self._commit()
        if self.rejects_part.exists():
            self.rejects_part.replace(self.rejects) if self.state.rejected else self.rejects_part.unlink()
        if self.part.exists():
            self._name()
        sync_folder(self.out.parent)
        self._state_path.unlink(missing_ok=True)

    def _name(self) -> None:
        if self.state.job.written != "parquet":
            self.part.replace(self.out)
            return
        made = _beside(self.part, ".parquet")
        to_parquet(self.part, made)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.replace(self.out)
        self.part.unlink()


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _locked(path: Path, stack: contextlib.ExitStack) -> BinaryIO:
    """Open a file that no other run writes to, and make it if need be."""
    file = stack.enter_context(path.open("r+b" if path.exists() else "w+b"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CannotTell(f"{path}: another run is writing it: wait for its end, or name another output") from error
    return file


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
