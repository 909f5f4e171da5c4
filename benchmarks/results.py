"""Result files of build/bench into benchmarks/RESULTS.md with its plots, and into the table of figures in README.md."""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness import RESULTS, ROOT, Machine, Result, code
from pydantic import ValidationError
from results_plot import plot

from textgate.errors import CannotTell, run
from textgate.files import read_text, write_text

TARGET, PLOTS, README = ROOT / "benchmarks" / "RESULTS.md", ROOT / "benchmarks" / "plots", ROOT / "README.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
INTRO = """# What was measured

Written by `benchmarks/results.py` from what the commands left in build/bench; benchmarks/README.md says how it is
measured. A ratio is the median of the rounds, with the smallest and the largest round in brackets.
"""
OLD = "measured with other code"


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


def page(results: Sequence[Result], plots: Path, now: str) -> str:
    """Return the Markdown; `now` is the hash of the code as it is: older results are marked."""
    sections = [line for one in results for line in _section(one, plots, now)]
    return "\n".join([INTRO, *_tables(results, now), *sections]) + "\n"


def with_figures(readme: str, results: Sequence[Result], now: str) -> str:
    """Return README.md with the table of figures between its markers, or as it is if it has none.

    Raises CannotTell unless each marker then stands there once, in order.
    """
    if BEGIN not in readme and END not in readme:
        return readme
    if (readme.count(BEGIN), readme.count(END)) != (1, 1) or readme.index(END) < readme.index(BEGIN):
        raise CannotTell(f"README.md: {BEGIN} and, below it, {END} must stand there once: write them where figures go")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(_tables(results, now))
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def summary(results: Sequence[Result]) -> str:
    """Return a line for each goal, for the terminal."""
    lines = [f"{'met   ' if one.met else 'MISSED'} {one.name}: {_measured(one)}; goal {one.goal}" for one in results]
    return "\n".join([*lines, f"{sum(one.met for one in results)} of {len(results)} goals met"])


def _tables(results: Sequence[Result], now: str) -> list[str]:
    """Return a table for each machine: what was measured on two of them does not stand side by side."""
    lines = []
    for machine in dict.fromkeys(one.machine for one in results):
        here = [one for one in results if one.machine == machine]
        lines += [f"On {_where(machine)}:", "", "| what | measured | goal | |", "|---|---:|---|---|"]
        lines += [f"| {one.what} | {_measured(one)} | {one.goal} | {_answer(one, now)} |" for one in here]
        lines.append("")
    return lines[:-1]


def _answer(result: Result, now: str) -> str:
    return ("met" if result.met else "**missed**") + ("" if result.code == now else f", {OLD}")


def _where(machine: Machine) -> str:
    return f"{machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB, Linux {machine.kernel}"


def _section(result: Result, plots: Path, now: str) -> list[str]:
    shown = [f"| {name} | {_figure(value)} |" for name, value in result.figures.items()]
    lines = ["", f"## {result.name}", "", f"{result.what}. Goal: {result.goal}; {_answer(result, now)}.", ""]
    if result.limits:
        lines += [f"What limits it: {result.limits}.", ""]
    lines += ["| figure | |", "|---|---:|", *shown, ""]
    where = f"{_where(result.machine)}; load at the start of each round: {_load(result)}"
    lines += [f"`{result.command}`, {result.date}, {where}."]
    lines += [", ".join(f"{name} {version}" for name, version in sorted(result.versions.items())) + "."]
    picture = plots / f"{result.name}.svg"
    return [*lines, "", f"![{result.name}](plots/{picture.name})"] if picture.is_file() else lines


def _measured(result: Result) -> str:
    names = result.beside or tuple(result.figures)[: 0 if result.ratio else 2]
    ratio = [str(result.ratio)] if result.ratio else []
    return "; ".join(ratio + [f"{name} {_figure(result.figures[name])}" for name in names])


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}".removesuffix(".0")


def _load(result: Result) -> str:
    return ", ".join(f"{load:g}" for load in result.load)


def main() -> int:
    """Write plots, page and README.md, and say what was met."""
    results, now = read_results(RESULTS), code()
    for result in results:
        if result.growth is not None or result.ratio is not None:
            plot(result, PLOTS)
    write_text(TARGET, page(results, PLOTS, now))
    print(summary(results))
    write_text(README, with_figures(read_text(README, "restore it with git"), results, now))
    print(f"written: {TARGET.relative_to(ROOT)} and the figures of {README.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
