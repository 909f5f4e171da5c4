"""Runs the stages, all of them or one, and keeps time, outcome and reason of each: build/stages/NAME.json."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import TextIOWrapper
from multiprocessing import get_context
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from textgate import records
from textgate.errors import CannotTell
from textgate.pipeline import STAGES, Stage
from textgate.records import BUILD
from textgate.verdicts import StageOutcome, StageTime

INTERRUPTED = 130
DVC_LOCK = Path(".dvc", "tmp", "rwlock")
SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"
RECORDS = BUILD / "stages"
# Left over from an earlier run, these would speak for a model that they never saw.
VERDICTS = ("model-tests.json", "model-tests.xml", "scan.json", "gate.json", "report.md", "report.html")
CODES = {"passed": 0, "unchanged": 0, "refused": 1, "unknown": 2, "not run": 2}
DVC_NOISE = ("Running stage", "> ", "Updating lock", "Generating lock", "Use `dvc", "To track", "Data and pipelines")
SKIPPED = ("didn't change, skipping", "is cached - skipping run")  # what DVC says


@dataclass(frozen=True)
class _Finished:
    code: int
    reason: str | None
    unchanged: bool


def pull_request(choice: Sequence[str]) -> int:
    """Run all stages in the current folder and return 0, 1 (refused) or 2 (cannot tell); `choice` goes to `choose`.

    When a stage breaks, those that need its output are not run; the gate and the report always are, and say so.
    """
    for name in VERDICTS:
        (BUILD / name).unlink(missing_ok=True)
    shutil.rmtree(RECORDS, ignore_errors=True)
    _forget_killed_runs()
    with asking_dvc() as nothing_changed:
        times = _all_stages(choice, nothing_changed)
    _print_summary(times)
    judging = ("model_tests", "scan")  # the gate has weighed what these say
    return next((code for time in times if time.stage not in judging if (code := CODES[time.outcome])), 0)


def _all_stages(choice: Sequence[str], nothing_changed: Callable[[], bool]) -> list[StageTime]:
    times: list[StageTime] = []
    for stage in STAGES:
        started = time.monotonic()
        unchanged = stage.cached and nothing_changed()
        makes_model_broke = any(CODES[time.outcome] for time in times if _makes(time.stage))
        if makes_model_broke and stage.name not in ("gate", "report"):
            times.append(_record(StageTime(stage=stage.name, seconds=0.0, outcome="not run")))
            continue
        print(f"\n=== {stage.name}", flush=True)
        if unchanged:
            print(f"Stage '{stage.name}' didn't change, skipping", flush=True)
            seconds = round(time.monotonic() - started, 2)
            times.append(_record(StageTime(stage=stage.name, seconds=seconds, outcome="unchanged")))
            continue
        times.append(_timed(stage, choice if stage.name == "choose" else ()))
    return times


def one_stage(name: str, choice: Sequence[str]) -> int:
    """Run one stage, as a step of CI does, and return its exit code. Raises CannotTell for an unknown name."""
    stage = next((stage for stage in STAGES if stage.name == name), None)
    if stage is None:
        raise CannotTell(f"there is no stage {name!r} (known: {', '.join(stage.name for stage in STAGES)})")
    if choice and name != "choose":
        raise CannotTell(f"{', '.join(choice)}: only the stage choose takes an experiment or a champion")
    _forget_killed_runs()
    return CODES[_timed(stage, choice).outcome]


@contextmanager
def asking_dvc() -> Iterator[Callable[[], bool]]:
    """Ask DVC about all stages that it keeps; yield what waits for its answer and says whether nothing changed.

    It is asked while `choose` runs, and does not know what that will write: if that is not what was there, all that DVC
    says is worth nothing. To ask about each stage takes three times as long.
    """
    kept = [stage.name for stage in STAGES if stage.cached]
    command = [sys.executable, "-m", "dvc", "status", "--json", *kept]
    chosen = _chosen()
    asked = subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    @cache
    def nothing_changed() -> bool:
        said, _ = asked.communicate()
        # Else, and if it cannot tell, each stage finds out.
        return asked.returncode == 0 and said.strip() == "{}" and _chosen() == chosen

    with asked:
        try:
            yield nothing_changed
        finally:
            asked.terminate()  # whoever does not wait for its answer must not leave it with DVC's lock


def _chosen() -> list[bytes | None]:
    """Return the contents of what `choose` writes."""
    paths = [BUILD / name for name in ("choice.json", "champion.json", "source.json")]
    return [path.read_bytes() if path.is_file() else None for path in paths]


def _record(time: StageTime) -> StageTime:
    records.write(RECORDS / f"{time.stage}.json", time)
    return time


def _forget_killed_runs() -> None:
    """Remove DVC's note of who reads and writes what, if nobody it names is alive; a killed run leaves it behind."""
    try:
        named = {int(number) for number in re.findall(r'"pid": (\d+)', DVC_LOCK.read_text(encoding="utf-8"))}
    except OSError:
        return
    if not any(map(_alive, named)):
        DVC_LOCK.unlink(missing_ok=True)


def _alive(number: int) -> bool:
    try:
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _makes(name: str) -> bool:
    """Say whether a stage comes before the judging ones."""
    return name == "choose" or next(stage for stage in STAGES if stage.name == name).cached


def _timed(stage: Stage, choice: Sequence[str]) -> StageTime:
    (RECORDS / f"{stage.name}.json").unlink(missing_ok=True)  # a killed stage leaves none, and not that of before
    started = time.monotonic()
    finished = _run(stage, ["--print"] if stage.name == "report" else choice)
    words: dict[int, StageOutcome] = {0: "unchanged" if finished.unchanged else "passed", 1: "refused"}
    return _record(
        StageTime(
            stage=stage.name,
            seconds=round(time.monotonic() - started, 2),
            outcome=words.get(finished.code, "unknown"),
            reason=finished.reason,
        )
    )


def _run(stage: Stage, options: Sequence[str]) -> _Finished:
    """Run a stage's script, through DVC if its result is kept."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "reason"
        environment = _environment() | {"TEXTGATE_REASON": str(note), "TEXTGATE_STAGE": stage.name}
        if stage.cached:
            code, unchanged = _through_dvc(stage, environment)
        else:
            code, unchanged = _forked(SCRIPTS / f"{stage.name}.py", options, environment), False
        if code in (-signal.SIGINT, -signal.SIGTERM, INTERRUPTED):
            raise CannotTell(f"{stage.name} was stopped: run the same command again")
        if note.is_file():
            number, _, reason = note.read_text(encoding="utf-8").partition(" ")
            return _Finished(int(number), reason, unchanged=False)
    crashed = code and (stage.cached or code not in (1, 2))
    how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with exit code {code}"
    said = f"it {how}; what it printed says more" if crashed else None
    return _Finished(2 if crashed else code, said, unchanged)


def _through_dvc(stage: Stage, environment: dict[str, str]) -> tuple[int, bool]:
    """Let DVC run a stage if anything changed that it reads, and pass on what the stage prints as it comes."""
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage.name]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, errors="replace")
    unchanged = False
    for line in process.stdout or ():
        unchanged |= any(words in line for words in SKIPPED)
        if not line.startswith(DVC_NOISE):
            print(line, end="", flush=True)
    return process.wait(), unchanged


def _forked(script: Path, options: Sequence[str], environment: dict[str, str]) -> int:
    """Run a script in a fork of this process and return its exit code.

    To start Python, and to import what this process and all scripts import, takes longer than most of them.
    """
    process = get_context("fork").Process(target=_script, args=(script, options, environment))
    process.start()
    process.join()
    return process.exitcode or 0  # never None: it has ended


def _script(script: Path, options: Sequence[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sys.argv = [str(script), *options]
    # As PYTHONUNBUFFERED does, for which it is too late here: what a stage said before a kill is not lost.
    sys.stdout = TextIOWrapper(open(1, "wb", buffering=0, closefd=False), errors="replace", write_through=True)  # noqa: SIM115
    try:
        runpy.run_path(str(script), run_name="__main__")
    except KeyboardInterrupt:  # before its main function could take it
        sys.exit(INTERRUPTED)


def _environment() -> dict[str, str]:
    """Return the environment of a stage: our Python first on the PATH, and a quiet DVC that calls nobody."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    quiet = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(Path(".dvc", "tmp", "site").resolve())}
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"} | quiet


def _print_summary(times: Sequence[StageTime]) -> None:
    table = Table("stage", "time", "outcome", title="what ran")
    for stage in times:
        table.add_row(stage.stage, f"{stage.seconds:.1f} s", stage.outcome)
    Console().print(table)
