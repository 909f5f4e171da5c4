"""`make bench-pr`: how long `make pr` takes in a copy of this project: cold, with a changed limit, and with no change.

Cold: environments and downloads are there, and nothing that was computed. Then the model is released and promoted in
an embedded registry, so that what is measured next asks for a champion and compares with it, as a team's runs do.
"""

# ruff: noqa: INP001 - scripts, not a package

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from harness import ROOT, Result, interleave, ratio, versions
from import_times import HEAVY, import_times
from judged import take_over
from pipeline_path import critical_path

from textgate import records
from textgate.downloads import cache_folder
from textgate.errors import CannotTell, run
from textgate.evidence import Metrics, TrainReport
from textgate.pipeline import STAGES
from textgate.verdicts import ModelTests, StageTime

COMMAND = "make bench-pr"
ROUNDS = 3  # of ten seconds a case: the whole takes eight minutes, five of them the one training
NO_OP_SECONDS, WARM_SECONDS, OVERHEAD = 10.0, 20.0, 0.15
VERSION = "0.1.0"
ALWAYS = ("choose", "model_tests", "scan", "gate", "report", "card")  # what DVC does not keep runs each time


def main() -> None:
    """Measure and save."""
    with tempfile.TemporaryDirectory(prefix="textgate-bench-pr-") as temporary:
        project = _copy(Path(temporary))
        cold = _cold(project)
        take_over(project / "build")  # so that other benchmarks need not train
        _promote(project)
        _again(project)
        _imports(project)
    critical_path(COMMAND)
    print(f"cold: {cold:.0f} s")


def _copy(folder: Path) -> Path:
    """Return a repository with the files of this one, its environments and downloads, and nothing computed."""
    project = folder / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project / name)
    for name in (".venv", ".venv-scan"):
        (project / name).symlink_to(ROOT / name)
    (folder / "cache").mkdir()
    (folder / "cache/downloads").symlink_to(cache_folder() / "downloads")
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    _must(project, [*git, "init", "--quiet"])
    (project / ".git/info/exclude").write_text(".venv*\n", encoding="utf-8")
    _must(project, [*git, "add", "--all"])
    _must(project, [*git, "commit", "--quiet", "--message=measured"])
    return project


def _environment(project: Path) -> dict[str, str]:
    ours = {"TEXTGATE_CACHE": str(project.parent / "cache"), "TEXTGATE_REGISTRY": "mlflow", "MLFLOW_TRACKING_URI": ""}
    return os.environ | ours


def _must(project: Path, command: list[str]) -> float:
    """Run a command in the copy and return its seconds. Raises CannotTell, with its last words, if it fails."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=project, env=_environment(project), capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        raise CannotTell(f"{' '.join(command)} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return seconds


def _script(project: Path, name: str, *options: str) -> float:
    return _must(project, [str(project / ".venv/bin/python"), f"scripts/{name}.py", *options])


def _stages(project: Path) -> dict[str, StageTime]:
    return {stage.name: records.read(project / f"build/stages/{stage.name}.json", StageTime, "pr") for stage in STAGES}


def _result(name: str, what: str, goal: str, *, met: bool, **more: object) -> None:
    said = {"ratio": None, "limits": "", "load": (round(os.getloadavg()[0], 2),)} | more
    used = versions("dvc", "mlflow", "great-expectations")
    Result(name=name, what=what, command=COMMAND, goal=goal, met=met, versions=used, **said).save()


def _cold(project: Path) -> float:
    load = (round(os.getloadavg()[0], 2),)
    total = _script(project, "pr", "--champion=none")
    build = project / "build"
    work = {
        "training": records.read(build / "train.json", TrainReport, "train").seconds,
        "scoring by evaluate": records.read(build / "metrics.json", Metrics, "evaluate").seconds,
        "scoring by the model tests": records.read(build / "model-tests.json", ModelTests, "model_tests").seconds,
    }
    share = (total - sum(work.values())) / sum(work.values())
    figures = {f"{name} (s)": round(seconds, 1) for name, seconds in ({"all": total} | work).items()}
    figures |= {f"stage {name} (s)": stage.seconds for name, stage in _stages(project).items()}
    _result(
        "pr-cold",
        "`make pr` with nothing computed: everything around training and scoring / training and scoring",
        f"≤ {OVERHEAD}",
        met=share <= OVERHEAD,
        beside=("all (s)",),
        ratio=ratio([total - sum(work.values())], [sum(work.values())]),
        figures=figures,
        load=load,
    )
    return total


def _promote(project: Path) -> None:
    _script(project, "release", f"--version={VERSION}")
    _script(project, "registry", "register", "build/release")
    _script(project, "registry", "promote", f"v{VERSION}")
    _script(project, "pr")  # fetches the champion and compares with it; what comes next finds that done


def _again(project: Path) -> None:
    seen: dict[str, dict[str, StageTime]] = {}
    gates = project / "configs/gates.yaml"

    def measured(name: str, before: Callable[[], object]) -> float:
        before()
        seconds = _script(project, "pr")
        seen[name] = _stages(project)
        computed = [stage.name for stage in STAGES if stage.cached and seen[name][stage.name].outcome != "unchanged"]
        if computed:
            raise CannotTell(f"{name}: {', '.join(computed)} ran, though nothing that they read was changed")
        return seconds

    def another_limit() -> None:
        limits = yaml.safe_load(gates.read_text(encoding="utf-8"))
        changed = limits | {"max_bundle_mb": limits["max_bundle_mb"] + 1}
        gates.write_text(yaml.safe_dump(changed), encoding="utf-8")

    goals = {"no-op": NO_OP_SECONDS, "warm": WARM_SECONDS}
    what = {"no-op": "nothing was changed", "warm": "a limit in configs/gates.yaml was changed"}
    before = {"no-op": lambda: None, "warm": another_limit}
    rounds = interleave({name: lambda name=name: measured(name, before[name]) for name in goals}, ROUNDS)
    for name, seconds in rounds.medians(*goals).items():
        figures = {"seconds (median)": round(seconds, 2), "seconds (largest)": round(max(rounds.figures[name]), 2)}
        figures |= {f"stage {stage} (s, last round)": time.seconds for stage, time in seen[name].items()}
        _result(
            f"pr-{name}",
            f"seconds of `make pr` where {what[name]} since the last run, against a champion",
            f"≤ {goals[name]:g} s",
            met=seconds <= goals[name],
            figures=figures,
            load=rounds.load,
        )


def _imports(project: Path) -> None:
    found = {stage.name: import_times(project, stage.name, _environment(project)) for stage in STAGES}
    heavy = {name: sorted(HEAVY & set(found[name].packages)) for name in ALWAYS}
    told = "; ".join(f"{name} imports {', '.join(packages)}" for name, packages in heavy.items() if packages)
    figures = {"of these are imported": told or "none"} | {name: str(times) for name, times in found.items()}
    _result(
        "pr-imports",
        "imports of the stages that run each time; for all stages, the seconds and the packages that take most of them",
        f"none of {', '.join(sorted(HEAVY))}",
        met=not told,
        figures=figures,
        beside=tuple(figures)[:1],
    )


if __name__ == "__main__":
    sys.exit(run(main))
