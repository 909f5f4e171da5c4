"""Whatever evidence lies in build/, and a sentence for each piece that is missing, broken or foreign."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from textgate import bundle
from textgate.config import CONFIGS
from textgate.errors import CannotTell, TextgateError
from textgate.evidence import Champion, Comparisons, DataReport, Metrics, TrainReport
from textgate.gate import evidence_set
from textgate.pipeline import STAGES
from textgate.records import Evidence, read
from textgate.verdicts import Gate, ModelTests, Scan, Stages, StageTime


@dataclass(frozen=True)
class Problem:
    """Evidence that cannot be shown."""

    stage: str
    sentence: str


@dataclass(frozen=True)
class Found:
    """The evidence of one run; None where there is none."""

    data: DataReport | None = None
    train: TrainReport | None = None
    champion: Champion | None = None
    metrics: Metrics | None = None
    comparison: Comparisons | None = None
    model_tests: ModelTests | None = None
    scan: Scan | None = None
    gate: Gate | None = None
    stages: Stages | None = None
    problems: tuple[Problem, ...] = field(default=())


FILES: dict[str, tuple[str, type[Evidence], str]] = {**evidence_set.FILES, "gate": ("gate.json", Gate, "gate")}
STAGE_FILES: dict[str, tuple[str, type[Evidence], str]] = {
    stage.name: (f"stages/{stage.name}.json", StageTime, stage.name) for stage in STAGES
}
ABOUT = {"another bundle": ("bundle_digest",), "other rows": ("data_fingerprint", "fingerprint")}
CAME_THROUGH = ("passed", "unchanged")
MAKE = ("choose", "data", "train", "evaluate")  # what judges leaves evidence of a refusal too; these leave none
OPTIONAL = ("champion",)  # comparison.json states whether there is a champion


def find(build: Path, limits: Path = CONFIGS / "gates.yaml") -> Found:
    """Read all evidence under `build`. Never raises for evidence: what cannot be shown becomes a problem.

    A verdict is shown only if it is about the bundle and the file of limits that are there now.
    """

    def take(file: str, kind: type[Evidence], stage: str) -> Evidence:
        try:
            return read(build / file, kind, stage)
        except OSError as error:
            raise CannotTell(f"{build / file}: {error.strerror}") from error

    found = _gather(take, lambda file: (build / file).exists())
    if found.gate is not None and (sentence := _old_verdict(found.gate, build / "model", limits)):
        found = replace(found, gate=None, problems=(*found.problems, Problem("gate", sentence)))
    return without_foreign(without_stale(found))


def from_files(files: Mapping[str, bytes]) -> Found:
    """Read evidence that another job handed on under flat names: build/stages/data.json is stages-data.json.

    Never raises for evidence, as `find`; but nothing vouches for where these files come from.
    """

    def take(file: str, kind: type[Evidence], stage: str) -> Evidence:
        name = flat(file)
        if name not in files:
            raise CannotTell(f"{name} is missing: the stage {stage} left none")
        try:
            return kind.model_validate_json(files[name])
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise CannotTell(f"{name}: {where}: {first['msg']}") from error

    return without_foreign(without_stale(_gather(take, lambda file: flat(file) in files)))


def flat(file: str) -> str:
    """Return the name under which a file of build/ is handed on."""
    return file.removeprefix("data/").replace("/", "-")


def _gather(take: Callable[[str, type[Evidence], str], Evidence], there: Callable[[str], bool]) -> Found:
    """Take each piece that is needed or there; one that cannot be taken becomes a problem."""
    pieces: dict[str, Any] = {}
    times: dict[str, Any] = {}
    problems = []
    for of, table in ((pieces, FILES), (times, STAGE_FILES)):
        for name, (file, kind, stage) in table.items():
            try:
                if (of is pieces and name not in OPTIONAL) or there(file):
                    of[name] = take(file, kind, stage)
            except CannotTell as error:
                problems.append(Problem(stage, str(error)))
    foreign = [name for name, time in times.items() if time.stage != name]
    problems += [Problem(name, f"{flat(STAGE_FILES[name][0])} is about another stage") for name in foreign]
    stages = tuple(time for name, time in times.items() if name not in foreign)
    return Found(**pieces, stages=Stages(stages=stages) if stages else None, problems=tuple(problems))


def _old_verdict(gate: Gate, model: Path, limits: Path) -> str | None:
    """Return why a verdict does not hold for what is there now. One about no bundle passed nothing and is shown."""
    if gate.gates_sha256 != evidence_set.hash_limits(limits):
        return f"gate.json was judged by another {limits}: run make gate again"
    if gate.bundle_digest is None and gate.outcome != "passed":
        return None
    try:
        same = bundle.digest(model) == gate.bundle_digest
    except (TextgateError, OSError) as error:
        return f"gate.json cannot be matched with a bundle ({error}): run make gate again"
    return None if same else "gate.json is about another bundle than the one there now: run make gate again"


def without_stale(found: Found) -> Found:
    """Set aside what a stage left in an earlier run, where it did not come through in this one."""
    broken = {time.stage for time in found.stages.stages if time.outcome not in CAME_THROUGH} if found.stages else set()
    stale = [
        name for name, (_, _, stage) in FILES.items() if stage in MAKE and stage in broken and getattr(found, name)
    ]
    problems = (
        Problem(
            FILES[name][2], f"{FILES[name][0]} is of an earlier run: in this one {FILES[name][2]} did not come through"
        )
        for name in stale
    )
    kept: dict[str, Any] = dict.fromkeys(stale)
    return replace(found, **kept, problems=(*found.problems, *problems))


def without_foreign(found: Found) -> Found:
    """Set evidence about another bundle or other rows aside, so that one report never mixes two models."""
    foreign: dict[str, Problem] = {}
    for what, keys in ABOUT.items():
        wanted = next(filter(None, (_about(piece, keys) for piece in (found.gate, found.train, found.metrics))), None)
        for name, (file, _, stage) in FILES.items():
            other = _about(getattr(found, name), keys)
            if wanted and other and other != wanted:
                sentence = f"{file} is about {what} ({other[:12]}…): run make {stage} again"
                foreign[name] = Problem(stage, sentence)
    kept: dict[str, Any] = dict.fromkeys(foreign)
    return replace(found, **kept, problems=(*found.problems, *foreign.values()))


def _about(piece: Evidence | None, keys: tuple[str, ...]) -> str | None:
    return next(filter(None, (getattr(piece, key, None) for key in keys)), None)
