"""How far a run is, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from textgate.wording import whole

SECONDS = 30  # between two lines, where nobody watches
Tell = Callable[[int, float | None], None]  # rows so far, and the share of the input, 0 to 1, if it is known


@contextlib.contextmanager
def progress(bar: bool, done: int) -> Iterator[Tell]:
    """Show progress from `done` rows on."""
    started = time.monotonic()

    def words(rows: int) -> str:
        return f"{whole(rows)} rows, {whole(round((rows - done) / max(time.monotonic() - started, 1e-3)))} a second"

    if not bar:
        yield _lines(words)
        return
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None)

        def tell(rows: int, share: float | None) -> None:
            total = None if share is None else 1.0
            shown.update(task, description=words(rows), completed=share or 0.0, total=total)

        yield tell


def _lines(words: Callable[[int], str]) -> Tell:
    last = [time.monotonic()]

    def tell(rows: int, share: float | None) -> None:
        if time.monotonic() - last[0] >= SECONDS:
            last[0] = time.monotonic()
            print(words(rows) if share is None else f"{share:.0%}: {words(rows)}", file=sys.stderr, flush=True)

    return tell
