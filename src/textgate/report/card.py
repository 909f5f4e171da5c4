"""Evidence, and what only a person can know, into the model card: the bundle's README.md and a block in MODEL_CARD.md.

Figures come from evidence, words from configs/card.yaml; nothing stands in two places. The layout follows Mitchell et
al. (2019), "Model cards for model reporting"; the front matter is the Hugging Face hub's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints

from textgate import records
from textgate.bundle import Manifest, verify_digest
from textgate.config import DataConfig, Source
from textgate.errors import CannotTell, Refused
from textgate.evidence import DataReport, Estimate, Metrics, ModelScores, TrainReport
from textgate.records import Record
from textgate.report.checks import WORDS
from textgate.report.document import Block, Bullets, Code, Heading, Line, Paragraph, Table, to_markdown
from textgate.report.markdown import visible
from textgate.verdicts import Gate
from textgate.wording import duration, figure, milliseconds, whole, with_interval

START, END = "<!-- textgate:card:start -->", "<!-- textgate:card:end -->"
Sentences = Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=1000)], ...], Field(min_length=1)]
NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_.]+")


class CardWords(Record):
    """configs/card.yaml."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    owner: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    licence: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,40}$")]
    summary: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    intended_use: Sentences
    out_of_scope: Sentences
    limits: Sentences
    ethics: Sentences


@dataclass(frozen=True)
class Origin:
    """The evidence about one bundle."""

    digest: str
    manifest: Manifest
    data: DataReport
    train: TrainReport
    candidate: ModelScores
    baseline: ModelScores | None
    gate: Gate


def read_origin(build: Path) -> Origin:
    """Read what the card is made of. Raises CannotTell if a piece is missing, broken or about another bundle."""
    model = build / "model"
    manifest, found = verify_digest(model)
    data = records.read(build / "data" / "data.json", DataReport, "data")
    train = records.read(build / "train.json", TrainReport, "train")
    metrics = records.read(build / "metrics.json", Metrics, "evaluate")
    gate = records.read(build / "gate.json", Gate, "gate")
    about = {"train": train.bundle_digest, "evaluate": metrics.bundle_digest, "gate": gate.bundle_digest}
    for stage, other in about.items():
        if other != found:
            raise CannotTell(f'what {stage} found is not about the bundle in {model}: run "make {stage}" again')
    candidate = metrics.of("candidate")
    if candidate is None:
        raise CannotTell(f'{build / "metrics.json"} has no candidate: run "make evaluate" again')
    return Origin(found, manifest, data, train, candidate, metrics.of("baseline"), gate)


def readme(words: CardWords, origin: Origin, config: DataConfig) -> str:
    """Return the bundle's README.md: the hub's front matter and the card."""
    front = yaml.safe_dump(front_matter(words, origin, config), sort_keys=False, allow_unicode=True)
    blocks = (Heading(words.name, 1), *body(words, origin))
    return f"---\n{front}---\n\n{to_markdown(blocks, folded=False)}"


def with_block(text: str, words: CardWords, origin: Origin, path: Path) -> str:
    """Return MODEL_CARD.md with the part between its markers written anew. Raises Refused if they are not there."""
    ends = []
    for marker in (START, END):
        found = list(re.finditer(rf"(?m)^{re.escape(marker)}$", text))  # in a label, a marker does not fill its line
        if len(found) != 1:
            what = f"stands there {len(found)} times" if found else "is missing"
            raise Refused(f"{path}: the line {marker} {what}: keep one of it, where the figures begin or end")
        ends.append(found[0])
    start, end = ends
    if end.start() < start.start():
        raise Refused(f"{path}: {END} stands before {START}: swap these two lines")
    block = to_markdown(body(words, origin), folded=False)
    return f"{text[: start.end()]}\n\n{block}\n{text[end.start() :]}"


def front_matter(words: CardWords, origin: Origin, config: DataConfig) -> dict[str, Any]:
    """Return the hub's metadata; its model-index holds the figures with their intervals."""
    models = (experiment.get("model") for experiment in origin.manifest.parts)
    parts = [model.get("kind") for model in models if isinstance(model, dict)]
    tags = ["text-classification", "textgate", *dict.fromkeys([origin.manifest.kind, *parts])]
    front: dict[str, Any] = {"license": words.licence, "pipeline_tag": "text-classification", "tags": tags}
    if config.source.kind == "hub":
        front["datasets"] = [config.source.dataset]
    scores = origin.candidate.test
    home = [_metric("accuracy", "accuracy", scores.accuracy), _metric("f1", "macro-F1", scores.macro_f1)]
    results = [_result(origin.data.source, "test", origin, home)]
    if origin.candidate.external is not None and config.external is not None:
        away = _metric("accuracy", "accuracy", origin.candidate.external.accuracy)
        results.append(_result(_place(config.external), "external", origin, [away]))
    return front | {"metrics": ["accuracy", "f1"], "model-index": [{"name": words.name, "results": results}]}


def _place(source: Source) -> str:
    if source.kind == "wheel":
        return source.wheel
    return source.dataset if source.kind == "hub" else source.path


def _result(source: str, split: str, origin: Origin, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    name = visible(source, 200)
    kind = NOT_IN_AN_ID.sub("-", name).strip("-.") or "data"
    dataset = {"name": name, "type": kind, "split": split, "revision": origin.data.fingerprint}
    return {"task": {"type": "text-classification"}, "dataset": dataset, "metrics": metrics}


def _metric(kind: str, name: str, estimate: Estimate) -> dict[str, Any]:
    interval = [round(estimate.low, 4), round(estimate.high, 4)]
    return {"type": kind, "name": name, "value": round(estimate.value, 4), "args": {"interval_95": interval}}


def body(words: CardWords, origin: Origin) -> tuple[Block, ...]:
    """Return the card without its title: use, data, figures, limits, ethics, verdict."""
    return (
        Paragraph(words.summary),
        _facts(words, origin),
        Heading("Intended use", 2),
        Bullets(words.intended_use),
        Heading("Not intended for", 2),
        Bullets(words.out_of_scope),
        Heading("Data", 2),
        *_data(origin.data),
        Heading("Figures", 2),
        *_figures(origin),
        Heading("Limits", 2),
        Bullets((*words.limits, *_derived_limits(origin))),
        Heading("Ethics", 2),
        Bullets(words.ethics),
        Heading("Verdict", 2),
        *_verdict(origin.gate),
    )


def _facts(words: CardWords, origin: Origin) -> Table:
    manifest, train = origin.manifest, origin.train
    rows: tuple[tuple[Line, ...], ...] = (
        ("owner", words.owner),
        ("licence", Code(words.licence)),
        ("kind", (Code(manifest.kind), "· experiment", Code(manifest.experiment, 100))),
        ("labels", tuple(Code(label, 40) for label in manifest.labels[:50])),
        ("bundle", Code(f"sha256:{origin.digest}", 80)),
        ("commit", Code(manifest.commit, 64)),
        ("trained", (f"{duration(train.seconds)} on", Code(train.device, 60), f"· seed {whole(manifest.seed)}")),
        ("size", f"{figure(origin.candidate.megabytes, 1)} MB"),
        ("latency of one text", f"{milliseconds(origin.candidate.latency.p95_ms)} (p95)"),
    )
    return Table("The model", ("what", "value"), "ll", rows)


def _data(data: DataReport) -> list[Block]:
    splits = list(data.rows)
    rows: list[tuple[Line, ...]] = [
        (Code(label, 40), *(whole(data.rows[split].get(label, 0)) for split in splits)) for label in data.labels
    ]
    source = (Code(data.source, 200), "· licence", Code(data.licence, 60), "· fingerprint", Code(data.fingerprint[:12]))
    nearly = whole(sum(data.near_duplicates.values()))
    words = f"Of the validation and test rows, {nearly} are nearly a training row."
    head: tuple[Line, ...] = ("label", *(Code(split, 20) for split in splits))
    return [Paragraph(source), Table("Rows", head, "l" + "r" * len(splits), tuple(rows)), Paragraph(words)]


def _figures(origin: Origin) -> list[Block]:
    def row(name: Line, ours: Estimate, theirs: Estimate | None) -> tuple[Line, ...]:
        return name, with_interval(ours), figure(theirs.value) if theirs else ""

    ours, theirs = origin.candidate, origin.baseline
    rows = [
        row("accuracy", ours.test.accuracy, theirs.test.accuracy if theirs else None),
        row("macro-F1", ours.test.macro_f1, theirs.test.macro_f1 if theirs else None),
    ]
    f1 = {score.label: score.f1 for score in theirs.test.labels} if theirs else {}
    rows += [row(("F1", Code(score.label, 40)), score.f1, f1.get(score.label)) for score in ours.test.labels]
    if ours.external is not None:
        away = theirs.external.accuracy if theirs and theirs.external else None
        rows.append(row("accuracy on external rows", ours.external.accuracy, away))
    head = ("figure", "this model (95 % interval)", "baseline")
    words = f"On {whole(ours.test.rows)} test rows. Expected calibration error {figure(ours.test.ece)}."
    return [Paragraph(words), Table("Figures", head, "lrr", tuple(rows))]


def _derived_limits(origin: Origin) -> list[Line]:
    """Return the limits that the figures show by themselves."""
    lines: list[Line] = []
    weakest = min(origin.candidate.test.labels, key=lambda score: score.f1.low, default=None)
    if weakest is not None:
        rows = f"on {whole(weakest.rows)} test rows."
        lines.append(("Weakest label:", Code(weakest.label, 40), f"with F1 {with_interval(weakest.f1)}", rows))
    if origin.candidate.external is None:
        lines.append("It was not tested on rows from another source.")
    return lines


def _verdict(gate: Gate) -> list[Block]:
    passed = sum(check.outcome == "passed" for check in gate.checks)
    counts = f"{whole(passed)} of {whole(len(gate.checks))} checks passed; limits"
    others = tuple((WORDS[c.outcome], f"{c.name}: {c.reason}") for c in gate.checks if c.outcome != "passed")
    return [Paragraph((f"{gate.sentence}.", counts, Code(f"sha256:{gate.gates_sha256[:12]}"))), Bullets(others)]
