"""`make bench-stats`, second part: how time and memory grow with rows, labels and bytes.

Each point is measured in a process of its own. The exponent is the slope of a straight line through the logarithms of
size and time (least squares); 1 is "ten times as much takes ten times as long". What a process needs to start flattens
that line, so the slope between the two largest sizes is told too, and has the same goal.
"""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from growth_inputs import write_project, write_weights
from harness import ROOT, Growth, Ratio, Result, Rounds, exponent, interleave, versions

from textgate.errors import CannotTell
from textgate.files import sha256_file
from textgate.github.artifact import MAX_FILE

COMMAND = "make bench-stats"
ROWS, LABELS, GIGABYTES = (10_000, 100_000, 1_000_000), (10, 100, 1000), (0.1, 1.0, 4.0)
LABEL_ROWS = 20_000  # test rows that the labels share
MAX_EXPONENT, MAX_RATIO, MAX_MEMORY, MAX_CHARACTERS = 1.2, 1.2, 1.1, 65_536
HASH = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"
POINT = ROOT / "benchmarks/growth_point.py"
MODELSCAN = ROOT / ".venv-scan/bin/modelscan"
SCAN_LIMITS = "of small files, our own start and the canary, which the peers do not have, take more than the hashing"
FLAT = "memory of 4 GB / 0.1 GB"
NOTHING_SCANNED = 3  # how modelscan ends on a folder of formats that are not its own


class Children:
    """Runs processes, and remembers the most memory that each case took."""

    def __init__(self) -> None:
        """Begin with none."""
        self.megabytes: dict[str, float] = {}
        self.said: dict[str, str] = {}

    def run(self, name: str, command: Sequence[str | Path], folder: Path, ends: Sequence[int] = (0,)) -> float:
        """Return the seconds of a process. Raises CannotTell if it ends otherwise than expected."""
        measured = folder / "measured.json"
        command = [sys.executable, "-S", ROOT / "benchmarks/growth_child.py", measured, *command]
        done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=True)
        self.said[name], found = done.stdout, json.loads(measured.read_text(encoding="utf-8"))
        if found["ended"] not in ends:
            raise CannotTell(f"{command[5]} ended with {found['ended']}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        self.megabytes[name] = max(self.megabytes.get(name, 0.0), found["megabytes"])
        return float(found["seconds"])


def comparison(folder: Path) -> Result:
    """Measure what is done with scored rows."""
    children = Children()

    def case(rows: int) -> Callable[[], float]:
        def timed() -> float:
            children.run(str(rows), [sys.executable, POINT, str(rows), "3"], folder)
            return float(json.loads(children.said[str(rows)])["seconds"])

        return timed

    found = interleave({str(rows): case(rows) for rows in ROWS}, 2)
    what = "figures of three models, two comparisons and their checks, from 10,000 to 1,000,000 scored rows"
    return _of_rows("growth-comparison", what, found, children.megabytes)


def data(folder: Path) -> Result:
    """Measure scripts/data.py: cleaning, splitting, near-duplicates, expectations."""
    children = Children()

    def case(rows: int) -> Callable[[], float]:
        project = folder / str(rows)
        write_project(project, rows)
        return lambda: children.run(str(rows), [sys.executable, ROOT / "scripts/data.py"], project)

    found = interleave({str(rows): case(rows) for rows in ROWS}, 1)
    return _of_rows("growth-data", "the data stage from 10,000 to 1,000,000 rows", found, children.megabytes)


def _of_rows(name: str, what: str, found: Rounds, megabytes: Mapping[str, float]) -> Result:
    medians = found.medians(*map(str, ROWS))
    growth = Growth(
        of="rows", sizes=ROWS, seconds=tuple(medians.values()), megabytes=tuple(megabytes[str(rows)] for rows in ROWS)
    )
    figures: dict[str, float | str] = _exponents(growth)
    met = all(float(value) <= MAX_EXPONENT for value in figures.values())
    for rows, seconds, memory in zip(ROWS, growth.seconds, growth.megabytes, strict=True):
        figures |= {f"{rows:,} rows (s)": round(seconds, 2), f"{rows:,} rows (MB)": round(memory)}
    return _result(name, what, f"≤ {MAX_EXPONENT}", met, None, figures, found, growth)


def _exponents(growth: Growth) -> dict[str, float | str]:
    return {
        "exponent of time": round(exponent(growth.sizes, growth.seconds), 2),
        "of its last step": round(exponent(growth.sizes[-2:], growth.seconds[-2:]), 2),
    }


def scan(folder: Path) -> Result:
    """Measure scripts/scan.py beside SHA-256 and modelscan on the same bytes, one after the other."""
    children, cases = Children(), {}
    for size in GIGABYTES:
        weights = folder / str(size) / "model.safetensors"
        write_weights(weights, round(size * 1e9))
        sha256_file(weights)  # both sides find it in memory
        ours, peers = [sys.executable, ROOT / "scripts/scan.py", weights.parent, "--scanner", MODELSCAN], (
            ([sys.executable, "-c", HASH, weights], (0,)),
            ([MODELSCAN, "--path", weights.parent, "-r", "json", "-o", folder / "found.json"], (NOTHING_SCANNED,)),
        )  # fmt: skip
        cases[f"ours {size:g} GB"] = lambda size=size, ours=ours: children.run(f"ours {size:g} GB", ours, folder)
        cases[f"peers {size:g} GB"] = lambda size=size, peers=peers: sum(
            children.run(f"peers {size:g} GB", command, folder, ends) for command, ends in peers
        )
    found = interleave(cases, 3)
    names = [f"ours {size:g} GB" for size in GIGABYTES]
    seconds, memory = found.medians(*cases), [children.megabytes[name] for name in names]
    largest = found.ratio(f"ours {GIGABYTES[-1]:g} GB", f"peers {GIGABYTES[-1]:g} GB")
    growth = Growth(
        of="bytes",
        sizes=tuple(round(size * 1e9) for size in GIGABYTES),
        seconds=tuple(seconds[name] for name in names),
        megabytes=tuple(memory),
    )
    flat = memory[-1] / memory[0]
    figures: dict[str, float | str] = {FLAT: round(flat, 3), **_exponents(growth)}
    for size in GIGABYTES:
        ours_name, peers_name = f"ours {size:g} GB", f"peers {size:g} GB"
        figures |= {
            f"{ours_name} (s)": round(seconds[ours_name], 2),
            f"{peers_name} (s)": round(seconds[peers_name], 2),
        }
        figures |= {f"{ours_name} / peers": str(found.ratio(ours_name, peers_name))}
        figures |= {f"{ours_name} (MB)": round(children.megabytes[ours_name], 1)}
    met = largest.median <= MAX_RATIO and flat <= MAX_MEMORY
    goal = f"≤ {MAX_RATIO}; {FLAT} ≤ {MAX_MEMORY}"
    what = "scan of 4 GB of weights: ours / SHA-256 and modelscan one after the other"
    return _result("growth-scan", what, goal, met, largest, figures, found, growth, SCAN_LIMITS, (FLAT,))


def report(folder: Path) -> Result:
    """Measure scripts/gate.py and scripts/report.py on evidence of many labels, and what they write."""
    children, cases, scored = Children(), {}, {}
    for labels in LABELS:
        project = folder / str(labels)
        project.mkdir()
        (project / "configs").symlink_to(ROOT / "configs")
        children.run("scored", [sys.executable, POINT, str(LABEL_ROWS), str(labels), project / "build"], project)
        scored[labels] = float(json.loads(children.said["scored"])["seconds"])
        cases[str(labels)] = lambda labels=labels, project=project: _shown(children, str(labels), project)
    found = interleave(cases, 3)
    growth = Growth(
        of="labels",
        sizes=LABELS,
        seconds=tuple(found.medians(*cases).values()),
        megabytes=tuple(children.megabytes[name] for name in cases),
    )
    builds = {labels: folder / str(labels) / "build" for labels in LABELS}
    characters = {labels: len((build / "report.md").read_text(encoding="utf-8")) for labels, build in builds.items()}
    handed_on = max((builds[LABELS[-1]] / name).stat().st_size for name in ("metrics.json", "comparison.json"))
    exponents = _exponents(growth)
    figures: dict[str, float | str] = {"characters of the comment, at most": max(characters.values()), **exponents}
    for labels, seconds, memory in zip(LABELS, growth.seconds, growth.megabytes, strict=True):
        page = (builds[labels] / "report.html").stat().st_size
        figures |= {f"{labels:,} labels: gate and report (s)": round(seconds, 2)}
        figures |= {
            f"{labels:,} labels (MB)": round(memory),
            f"{labels:,} labels: report.html (kB)": round(page / 1000),
        }
        figures |= {f"{labels:,} labels: report.md (characters)": characters[labels]}
        figures |= {f"{labels:,} labels: figures and comparisons (s)": round(scored[labels], 2)}
    figures |= {f"largest file handed on, of at most {MAX_FILE / 1e6:g} (MB)": round(handed_on / 1e6, 2)}
    met = max(characters.values()) <= MAX_CHARACTERS and handed_on <= MAX_FILE
    met = met and all(float(value) <= MAX_EXPONENT for value in exponents.values())
    goal = f"≤ {MAX_CHARACTERS:,} characters; exponent of time ≤ {MAX_EXPONENT}"
    what = "gate and report of 10 to 1,000 labels: size and time"
    return _result("growth-report", what, goal, met, None, figures, found, growth)


def _shown(children: Children, name: str, project: Path) -> float:
    any_verdict = (0, 1, 2)
    gate = children.run(name, [sys.executable, ROOT / "scripts/gate.py"], project, any_verdict)
    return gate + children.run(name, [sys.executable, ROOT / "scripts/report.py"], project)


def _result(
    name: str,
    what: str,
    goal: str,
    met: bool,
    ratio: Ratio | None,
    figures: dict[str, float | str],
    found: Rounds,
    growth: Growth,
    limits: str = "",
    beside: tuple[str, ...] = (),
) -> Result:
    return Result(
        name=name,
        what=what,
        command=COMMAND,
        goal=goal,
        met=met,
        ratio=ratio,
        figures=figures,
        beside=beside,
        limits=limits,
        load=found.load,
        versions=versions(),
        growth=growth,
    )


def main() -> bool:
    """Measure all and save; say whether every goal is met."""
    met = []
    for measure in (comparison, data, scan, report):
        with tempfile.TemporaryDirectory(prefix="textgate-bench-") as folder:
            result = measure(Path(folder))
        result.save()
        met.append(result.met)
    return all(met)
