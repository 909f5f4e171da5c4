"""A file of texts into a file of predictions: read, scored and written at the same time, window by window."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from textgate.batch.answer import Answer, Model
from textgate.batch.formats import PIPE, Format, format_of, opened
from textgate.batch.out import Files, Out, Pipe
from textgate.batch.progress import progress
from textgate.batch.rows import windows
from textgate.batch.settings import BatchConfig
from textgate.batch.state import Job, State, source_of
from textgate.batch.workers import Engine, local
from textgate.batch.written import head
from textgate.bundle import digest, verify
from textgate.choose import bundle_in
from textgate.errors import CannotTell, Refused
from textgate.scan.policy import vouch_folder
from textgate.serve.served import UNRELEASED

AHEAD = 2  # windows a worker: one that it scores, and one that waits for it


def batch(
    source: str,
    target: str,
    named: Path,
    column: str,
    form: Format | None,
    config: BatchConfig,
    engine: Engine = local,
) -> State:
    """Score the rows of `source` into `target`, each a path or `-`, and return how many there were.

    `form` is the format of what is `-`; `engine` says who scores. Raises CannotTell for whatever keeps it from scoring
    all rows that can be scored, an altered bundle included: "refused" would read as "some rows were".
    """
    read, write = format_of(source, form), format_of(target, form)
    if sys.stderr is None:  # the next file that is opened would take its number, and whatever C++ has to say
        raise CannotTell("standard error is closed: open it, or send it to /dev/null")
    model = find_model(named)
    job = Job(
        source=None if source == PIPE else source_of(Path(source)),
        read=read,
        written=write,
        text_column=column,
        row_bytes=config.row_bytes,
        model_digest=model.digest,
        model_version=model.version,
    )
    with _out(target, State(job=job), head(model.labels, write), config) as out:
        if not out.state.whole:
            try:
                _score(source, out, model, config, engine)
            except Refused as error:
                raise CannotTell(str(error)) from error
        if job.source is not None and source_of(Path(source)) != job.source:
            raise CannotTell(
                f"{source} was changed while it was read: remove what is beside {target}, and start afresh"
            )
        out.finish()
        return out.state


def find_model(named: Path) -> Model:
    """Vouch for the model in a folder: what a registry fetched, a link to it, or a plain bundle.

    Raises CannotTell if there is none, or it was altered or holds what nobody vouches for.
    """
    try:
        path, release = bundle_in(named.resolve())  # a link may move on while its target is read
        manifest = verify(path, release.bundle_digest if release else None)
        vouch_folder(path)
    except Refused as error:
        raise CannotTell(str(error)) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise CannotTell(f"{named} cannot be read ({error}): name a bundle folder") from error
    version = release.version if release else UNRELEASED
    return Model(path, digest(path), version, manifest.kind, manifest.labels)


@contextlib.contextmanager
def _out(target: str, fresh: State, begin: bytes, config: BatchConfig) -> Iterator[Out]:
    if target == PIPE:
        yield Pipe(fresh, begin)
        return
    with Files(Path(target), config.commit_seconds).begun(fresh, begin) as files:
        yield files


def _score(source: str, out: Out, model: Model, config: BatchConfig, engine: Engine) -> None:
    job, begin = out.state.job, out.state.place
    bar = sys.stderr.isatty() and not isinstance(out, Pipe)
    with (
        opened(source, job.read, job.text_column, begin, config.row_bytes) as reading,
        progress(bar, begin.rows) as tell,
        engine(model, job.written, config) as workers,
    ):
        for found in _in_order(map(workers.submit, windows(reading, config)), AHEAD * workers.count):
            out.add(found)
            tell(found.place.rows, found.share)


def _in_order(answers: Iterator[Future[Answer]], ahead: int) -> Iterator[Answer]:
    """Yield answers in the order in which they were asked for, asking for so many before the first is waited for."""
    waiting: deque[Future[Answer]] = deque()
    for future in answers:
        waiting.append(future)
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
