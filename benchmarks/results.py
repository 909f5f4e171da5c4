"""Result files of build/bench into benchmarks/RESULTS.md: ratios beside goals, then each result with its figures."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness import RESULTS, ROOT, Result
from pydantic import ValidationError

from textgate.errors import CannotTell, run
from textgate.files import read_text, write_text

TARGET, PLOTS = ROOT / "benchmarks" / "RESULTS.md", ROOT / "benchmarks" / "plots"
INTRO = """# What was measured

Written by `benchmarks/results.py` from what the commands left in build/bench; benchmarks/README.md says how it is
measured. A ratio is the median of the rounds, with the smallest and the largest round in brackets.
"""


def read_results(folder: Path) -> list[Result]:
    """Return all results by name. Raises CannotTell if there is none, or one that is not of this textgate."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Result.model_validate_json(read_text(path, "measure again")))
        except ValidationError as error:
            raise CannotTell(f"{path} is no result of this version: remove it and measure again") from error
    if not found:
        raise CannotTell(f'{folder} holds no result: run "make bench" first')
    return found


def page(results: Sequence[Result], plots: Path) -> str:
    """Return the Markdown."""
    rows = [
        f"| {one.what} | {one.ratio or _shown(one)} | {one.goal} | {'met' if one.met else '**missed**'} |"
        for one in results
    ]
    table = ["| what | measured | goal | |", "|---|---:|---:|---|", *rows]
    return "\n".join([INTRO, *table, *(line for one in results for line in _section(one, plots))]) + "\n"


def _section(result: Result, plots: Path) -> list[str]:
    machine = result.machine
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB, Linux {machine.kernel}"
    shown = [f"| {name} | {value} |" for name, value in result.figures.items()]
    lines = [
        "",
        f"## {result.name}",
        "",
        f"{result.what}. Goal: {result.goal}; {'met' if result.met else 'missed'}.",
        "",
    ]
    if result.limits:
        lines += [f"What limits it: {result.limits}.", ""]
    lines += ["| figure | |", "|---|---:|", *shown, ""]
    lines += [f"`{result.command}`, {result.date}, {where}; load at the start of each round: {_load(result)}."]
    lines += [", ".join(f"{name} {version}" for name, version in sorted(result.versions.items())) + "."]
    plot = plots / f"{result.name}.svg"
    return [*lines, "", f"![{result.name}](plots/{plot.name})"] if plot.is_file() else lines


def _shown(result: Result) -> str:
    return "; ".join(f"{name} {value}" for name, value in list(result.figures.items())[:2])


def _load(result: Result) -> str:
    return ", ".join(f"{load:g}" for load in result.load)


def plot(result: Result, folder: Path) -> None:
    """Draw the figures of a result that has a ratio as bars, in units of their own."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "textgate"  # the same figures give the same file
    from matplotlib import pyplot as plt

    bars = {name: value for name, value in result.figures.items() if isinstance(value, float)}
    figure, axes = plt.subplots(figsize=(7, 0.5 + 0.4 * len(bars)))
    drawn = axes.barh(list(bars), list(bars.values()), color=["#2a6f97", *["#9aa5b1"] * (len(bars) - 1)])
    axes.bar_label(drawn, padding=3)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / f"{result.name}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def main() -> int:
    """Write plots and page."""
    results = read_results(RESULTS)
    for result in results:
        if result.ratio is not None:
            plot(result, PLOTS)
    write_text(TARGET, page(results, PLOTS))
    print(f"{TARGET.relative_to(ROOT)}: {sum(one.met for one in results)} of {len(results)} goals met")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
