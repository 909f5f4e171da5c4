"""The stages of a pull request, in their order: one table for `make pr`, for CI and for the README."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One word that is a script, a make target, a module and a section of the README."""

    name: str
    reads: str
    writes: str
    refuses: str
    cached: bool = False  # computed by DVC: not again if nothing that it reads has changed


STAGES = (
    Stage(
        "choose",
        "configs/train.yaml, configs/experiments/, configs/data.yaml",
        "choice.json, champion.json, source.json",
        "an altered champion",
    ),
    Stage(
        "data",
        "configs/data.yaml, the source",
        "data/",
        "a row or an expectation is broken, rows shared between splits, changed test rows",
        cached=True,
    ),
    Stage(
        "train", "data/, choice.json, base weights", "model/ (the bundle), train.json", "foreign weights", cached=True
    ),
    Stage(
        "evaluate",
        "model/, baseline/, the champion, data/",
        "metrics.json, comparison.json",
        "an altered bundle, a champion that nobody vouches for, a score that is no number",
        cached=True,
    ),
    Stage(
        "model_tests",
        "model/, data/, metrics.json, configs/gates.yaml",
        "model-tests.json",
        "accuracy, latency, schema or behaviour",
    ),
    Stage("scan", "model/", "scan.json", "a finding, or a file that nobody vouches for"),
    Stage("gate", "all of the above, configs/gates.yaml", "gate.json", "any check refused or unknown"),
    Stage("report", "all of the above", "report.md, report.html", "never"),
    Stage("card", "all of the above", "MODEL_CARD.md, model/README.md", "its markers are missing"),
)


def table() -> str:
    """Return the stages as a Markdown table, as it stands in the README between markers."""
    lines = ["| stage | reads | writes under build/ | refuses |", "|---|---|---|---|"]
    lines += [f"| `{stage.name}` | {stage.reads} | {stage.writes} | {stage.refuses} |" for stage in STAGES]
    return "\n".join(lines)
