"""The folded parts of the report: classes, slices, confusion, chart, flips and latency, each from typed evidence."""

from __future__ import annotations

from textgate.evidence import Comparison, Epoch, LabelScore, Metrics, ModelScores, Scores
from textgate.report.checks import MANY, reference
from textgate.report.document import Block, Chart, Code, Line, Paragraph, Piece, Section, Table
from textgate.report.found import Found
from textgate.report.markdown import visible
from textgate.report.origin import how_made, model_tests, scan
from textgate.report.pictures import confusion_map, delta_plot, reliability_diagram, validation_curve
from textgate.wording import change, duration, figure, milliseconds, ratio, whole, with_interval

SHOWN_LABELS = 12  # columns of a table, bars of a chart: more cannot be read
SHOWN_MISTAKES = 20
SHOWN_FLIPS = 10
FLIP_CHARACTERS = 120


def sections(found: Found) -> list[Block]:
    """Return the parts for which there is evidence, in the order of the report."""
    parts: list[Block] = []
    against = reference(found.comparison)
    candidate = found.metrics.of("candidate") if found.metrics else None
    if found.metrics and candidate:
        other = found.metrics.of("champion") or found.metrics.of("baseline")
        parts += [_classes(candidate, other, against), _slices(candidate, other), _confusion(candidate.test)]
        parts += [_chart(candidate, other), _calibration(found.metrics)]
    if against and against.flips:
        parts.append(_flips(against))
    if found.metrics:
        parts.append(_latency(found.metrics, against))
    if found.train and found.train.epochs:
        parts.append(_epochs(found.train.epochs))
    if found.model_tests:
        parts.append(model_tests(found.model_tests))
    if found.scan:
        parts.append(scan(found.scan))
    return [*parts, how_made(found)]


def _classes(candidate: ModelScores, other: ModelScores | None, against: Comparison | None) -> Section:
    theirs = {score.label: score for score in other.test.labels} if other else {}
    changes = {delta.name: change(delta.delta) for delta in against.labels} if against else {}
    head = ("label", "rows", "precision", "recall", "F1 (95 % interval)", f"F1 {_who(other)}", "change")

    def row(score: LabelScore) -> tuple[Line, ...]:
        other_f1 = figure(theirs[score.label].f1.value) if score.label in theirs else ""
        own = (figure(score.precision.value), figure(score.recall.value), with_interval(score.f1))
        return Code(score.label, 40), whole(score.rows), *own, other_f1, changes.get(f"F1 {score.label}", "")

    table = Table("Figures of each label", head, "lrrrrrr", tuple(map(row, _lowest_first(candidate.test.labels))))
    return Section("Labels", (delta_plot(against), table) if against else (table,))


def _lowest_first(labels: tuple[LabelScore, ...]) -> list[LabelScore]:
    """Return many labels lowest F1 first, because a long table loses its bottom; few stay in their order."""
    return sorted(labels, key=lambda score: score.f1.value) if len(labels) > MANY else list(labels)


def _who(other: ModelScores | None) -> str:
    return "production" if other and other.role == "champion" else "baseline"


def _slices(candidate: ModelScores, other: ModelScores | None) -> Section:
    theirs = {(part.slice, part.name): figure(part.accuracy.value) for part in other.test.slices} if other else {}
    rows = tuple(
        (
            (visible(part.slice, 20), Code(part.name, 40)),
            whole(part.rows),
            with_interval(part.accuracy),
            theirs.get((part.slice, part.name), ""),
        )
        for part in candidate.test.slices
    )
    head = ("part", "rows", "accuracy (95 % interval)", f"accuracy {_who(other)}")
    return Section("Parts of the test rows", (Table("Accuracy on parts of the test rows", head, "lrrr", rows),))


def _confusion(scores: Scores) -> Section:
    truth, columns = [score.label for score in scores.labels], scores.columns
    picture = confusion_map(truth, columns, scores.confusion)
    if len(columns) <= SHOWN_LABELS:
        head: tuple[Line, ...] = ("true label", *(Code(column, 20) for column in columns))
        rows: list[tuple[Line, ...]] = [
            (Code(label, 40), *(whole(scores.confusion.get(label, {}).get(column, 0)) for column in columns))
            for label in truth
        ]
        table = Table(
            "Confusion: true labels down, predicted across", head, "l" + "r" * len(columns), tuple(rows), matrix=True
        )
        return Section("Confusion", (Paragraph("True labels down, predicted labels across."), picture, table))
    mistakes = [
        (label, column, count)
        for label in truth
        for column, count in scores.confusion.get(label, {}).items()
        if count and label != column
    ]
    mistakes.sort(key=lambda mistake: -mistake[2])
    worst = tuple(
        (Code(label, 40), Code(column, 40), whole(count)) for label, column, count in mistakes[:SHOWN_MISTAKES]
    )
    said = f"{whole(len(columns))} labels: the most frequent of {whole(len(mistakes))} kinds of mistake."
    table = Table("Most frequent mistakes", ("true label", "predicted", "rows"), "llr", worst)
    return Section("Confusion", (Paragraph(said), picture, table))


def _chart(candidate: ModelScores, other: ModelScores | None) -> Section:
    lowest = {score.label for score in sorted(candidate.test.labels, key=lambda score: score.f1.value)[:SHOWN_LABELS]}
    shown = [score for score in candidate.test.labels if score.label in lowest]
    theirs = {score.label: _share(score) for score in other.test.labels} if other else {}
    line = tuple(theirs[score.label] for score in shown if score.label in theirs)
    compared = len(line) == len(shown)
    few = "" if len(shown) == len(candidate.test.labels) else f", the {len(shown)} lowest"
    title = f"F1 by label{few}" + (f", bars this model, line {_who(other)}" if compared else "")
    bars = tuple(_share(score) for score in shown)
    return Section("Chart", (Chart(title, tuple(score.label for score in shown), bars, line if compared else ()),))


def _epochs(epochs: tuple[Epoch, ...]) -> Section:
    rows = tuple(
        (whole(epoch.epoch), figure(epoch.train_loss), figure(epoch.valid_macro_f1), duration(epoch.seconds))
        for epoch in epochs
    )
    table = Table("Epochs", ("epoch", "training loss", "macro-F1 on validation rows", "time"), "rrrr", rows)
    return Section("Training", (validation_curve(epochs), table))


def _share(score: LabelScore) -> float:
    return min(1.0, max(0.0, score.f1.value))


def _calibration(metrics: Metrics) -> Section:
    rows = tuple(
        (model.role, figure(model.test.ece), figure(model.test.brier), figure(model.test.macro_f1.value))
        for model in metrics.models
    )
    table = Table("Calibration", ("model", "ECE", "Brier score", "macro-F1"), "lrrr", rows)
    words = "Do probabilities mean what they say? ECE and the Brier score are 0 at best."
    return Section("Calibration", (Paragraph(words), reliability_diagram(metrics.models), table))


def _flips(against: Comparison) -> Section:
    def said(label: str, probability: float) -> tuple[Piece, ...]:
        return Code(label, 40), figure(probability, 2)

    rows = tuple(
        (
            "won" if flip.won else "lost",
            Code(flip.text, FLIP_CHARACTERS),
            Code(flip.label, 40),
            said(flip.candidate, flip.candidate_probability),
            said(flip.reference, flip.reference_probability),
        )
        for flip in against.flips[:SHOWN_FLIPS]
    )
    other = "production" if against.reference == "champion" else "baseline"
    counts = f"{whole(against.won)} rows won and {whole(against.lost)} lost; the most telling first."
    table = Table("Rows won and lost", ("", "text", "true", "this model", other), "lllll", rows)
    return Section(f"Rows won and lost against {other}", (Paragraph(counts), table))


def _latency(metrics: Metrics, against: Comparison | None) -> Section:
    rows = tuple(
        (
            model.role,
            Code(model.name, 40),
            milliseconds(model.latency.p50_ms),
            milliseconds(model.latency.p95_ms),
            milliseconds(model.latency.p99_ms),
            f"{figure(model.megabytes, 1)} MB",
        )
        for model in metrics.models
    )
    words = "One text at a time, tokenisation included."
    if against:
        other = "production" if against.reference == "champion" else "the baseline"
        words += f" Against {other}: {ratio(against.latency_ratio)}."
    table = Table("Latency and size", ("model", "name", "p50", "p95", "p99", "size"), "llrrrr", rows)
    return Section("Latency and size", (Paragraph(words), table))
