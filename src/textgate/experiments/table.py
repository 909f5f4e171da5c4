"""Runs side by side, for a terminal and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from textgate.evidence import Estimate
from textgate.experiments.runs import Run
from textgate.tracking.entry import VALID
from textgate.wording import duration, figure, with_interval

ALWAYS = "train.experiment"  # has a column of its own
LONGEST = 24  # characters of a parameter's value: enough for a number or a name, not for a hash
FIGURES = ("valid macro-F1", "test macro-F1", "test accuracy", "external accuracy", "p95 ms")
COLUMNS = ("started (UTC)", "experiment", "what differs", *FIGURES, "trained", "bundle", "commit")


def differing(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the parameters that at least two runs have with different values, sorted."""
    names = sorted({name for run in runs for name in run.params} - {ALWAYS})
    return tuple(name for name in names if len({run.params[name] for run in runs if name in run.params}) > 1)


def table(runs: Sequence[Run], champion: str | None) -> Table:
    """Return the runs as a table; `champion` is the digest of the production model, which gets a star."""
    starred = any(run.digest == champion for run in runs)
    shown = Table(*COLUMNS, caption="* the production model" if starred else None)
    names = differing(runs)
    for run in runs:
        shown.add_row(*map(_plain, _cells(run, names, starred=run.digest == champion)))
    return shown


def as_csv(runs: Sequence[Run], champion: str | None) -> str:
    """Return every parameter and figure of the runs as CSV with a header; an empty cell is one that the run lacks."""
    metrics = sorted({name for run in runs for name in run.metrics})
    params = sorted({name for run in runs for name in run.params})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["started", "experiment", "digest", "commit", "champion", *metrics, *params])
    for run in runs:
        known = [run.started.isoformat(), run.experiment, run.digest, run.commit, run.digest == champion]
        figures = [run.metrics.get(name, "") for name in metrics]
        writer.writerow([*known, *figures, *(run.params.get(name, "") for name in params)])
    return text.getvalue()


def _cells(run: Run, names: Sequence[str], *, starred: bool) -> tuple[str, ...]:
    seconds = run.metrics.get("train_seconds")
    commit, _, changes = run.commit.partition("+")
    return (
        f"{run.started:%Y-%m-%d %H:%M}",
        run.experiment,
        ", ".join(f"{_short(name)} {_cut(run.params[name])}" for name in names if name in run.params),
        _figure(run, VALID),
        _estimate(run, "test_macro_f1"),
        _estimate(run, "test_accuracy"),
        _figure(run, "external_accuracy"),
        _figure(run, "latency_p95_ms", decimals=1),
        "-" if seconds is None else duration(seconds),
        run.digest[:12] + ("*" if starred else ""),
        commit[:7] + ("+" if changes else "") if commit[:1] not in ("", "n") else "-",  # "no git"
    )


def _figure(run: Run, name: str, decimals: int = 3) -> str:
    return figure(run.metrics[name], decimals) if name in run.metrics else "-"


def _estimate(run: Run, name: str) -> str:
    """Return a figure with its interval, or alone: runs of an earlier textgate have none."""
    names = (name, f"{name}_low", f"{name}_high")
    if not run.metrics.keys() >= set(names):
        return _figure(run, name)
    value, low, high = (run.metrics[part] for part in names)
    return with_interval(Estimate(value=value, low=low, high=high))


def _short(name: str) -> str:
    return name.removeprefix("train.").removeprefix("experiments.")


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"


def _plain(cell: str) -> Text:
    """Return a cell as it stands, without markup and without what would steer a terminal."""
    return Text("".join(c if c.isprintable() else "?" for c in cell))
