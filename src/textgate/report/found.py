"""Whatever evidence lies in build/, and a sentence for each piece that is missing, broken or foreign."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from textgate import bundle
from textgate.config import CONFIGS
from textgate.errors import CannotTell, TextgateError
from textgate.evidence import Champion, Comparisons, DataReport, Metrics, TrainReport
from textgate.gate import evidence_set
from textgate.records import Evidence, read
from textgate.verdicts import Gate, ModelTests, Scan, Stages


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


FILES: dict[str, tuple[str, type[Evidence], str]] = {
    **evidence_set.FILES,
    "gate": ("gate.json", Gate, "gate"),
    "stages": ("stages.json", Stages, "pr"),
}
ABOUT = {"another bundle": ("bundle_digest",), "other rows": ("data_fingerprint", "fingerprint")}
CAME_THROUGH = ("passed", "unchanged")
MAKE = ("choose", "data", "train", "evaluate")  # what judges leaves evidence of a refusal too; these leave none
OPTIONAL = ("champion", "stages")  # comparison.json states whether there is a champion; times are a courtesy


def find(build: Path, limits: Path = CONFIGS / "gates.yaml") -> Found:
    """Read all evidence under `build`. Never raises for evidence: what cannot be shown becomes a problem.

    A verdict is shown only if it is about the bundle and the file of limits that are there now.
    """
    pieces: dict[str, Any] = {}
    problems = []
    for name, (file, kind, stage) in FILES.items():
        try:
            if name not in OPTIONAL or (build / file).exists():
                pieces[name] = read(build / file, kind, stage)
        except CannotTell as error:
            problems.append(Problem(stage, str(error)))
        except OSError as error:
            problems.append(Problem(stage, f"{build / file}: {error.strerror}"))
    gate = pieces.get("gate")
    if gate is not None and (sentence := _old_verdict(gate, build / "model", limits)):
        pieces["gate"] = None
        problems.append(Problem("gate", sentence))
    return without_foreign(without_stale(Found(**pieces, problems=tuple(problems))))


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
    """Set aside what a stage left in an earlier run, when stages.json says that it did not come through in this one."""
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
