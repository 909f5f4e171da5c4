"""A result into its picture: bars beside each other, or how time and memory grow. The same figures, the same bytes."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import Growth, Result, exponent

OURS, PEER = "#2a6f97", "#9aa5b1"


def plot(result: Result, folder: Path) -> None:
    """Draw a result as folder/NAME.svg: its figures as bars in units of their own, or its growth."""
    import matplotlib as mpl

    mpl.rcParams["svg.hashsalt"] = "textgate"  # else names inside the file change from run to run
    mpl.rcParams["svg.fonttype"] = "none"  # letters as text: a fifth of the size
    figure = _growth(result.growth) if result.growth else _bars(result)
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / f"{result.name}.svg", bbox_inches="tight", metadata={"Date": None})


def _bars(result: Result) -> Any:
    from matplotlib.figure import Figure

    bars = {name: value for name, value in result.figures.items() if isinstance(value, float)}
    figure = Figure(figsize=(7, 0.5 + 0.4 * len(bars)))
    axes = figure.subplots()
    drawn = axes.barh(list(bars), list(bars.values()), color=[OURS, *[PEER] * (len(bars) - 1)])
    axes.bar_label(drawn, padding=3)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    return figure


def _growth(growth: Growth) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3))
    for axes, name, values in zip(
        figure.subplots(1, 2), ("seconds", "MB at most"), (growth.seconds, growth.megabytes), strict=True
    ):
        power = exponent(growth.sizes, values)
        axes.loglog(growth.sizes, values, "o-", color=OURS)
        first = values[0]  # the line of what takes ten times as long for ten times as much
        axes.loglog(growth.sizes, [first * size / growth.sizes[0] for size in growth.sizes], ":", color=PEER)
        axes.set(xlabel=growth.of, title=f"{name}: exponent {power:.2f} (dotted: 1)")
        axes.title.set_fontsize(10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.subplots_adjust(wspace=0.3)
    return figure
