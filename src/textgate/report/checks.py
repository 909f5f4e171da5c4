"""The gate's checks into the one table of the comment: a row for each figure, with every model beside the limit."""

from __future__ import annotations

from collections.abc import Callable

from textgate.evidence import Comparison, Comparisons, Delta, Metrics, ModelScores
from textgate.gate.against_champion import AGAINST
from textgate.report.document import Bullets, Line, Piece, Strong, Table
from textgate.report.markdown import visible
from textgate.verdicts import Check, Gate
from textgate.wording import change, figure, ratio

WORST_FIRST = ("refused", "unknown", "passed")
WORDS: dict[str, Piece] = {"passed": "passed", "refused": Strong("refused"), "unknown": Strong("cannot tell")}
MANY = 30  # rows beyond which labels come last and the worst of them first: rows are dropped from the bottom
REASONS = 10


def reference(comparison: Comparisons | None) -> Comparison | None:
    """Return the comparison that changes are shown against: production, or the baseline while there is none."""
    return (comparison.champion or comparison.baseline) if comparison else None


def checks_table(gate: Gate, metrics: Metrics | None, comparison: Comparisons | None) -> Table:
    """Return one row a figure; a figure's own check and its check against production share a row.

    The row shows the worse of the two outcomes. A check with an unknown name gets a row of its own.
    """
    figures: dict[str, list[Check]] = {}
    for check in gate.checks:
        figures.setdefault(check.name.removesuffix(AGAINST), []).append(check)
    names = list(figures)
    if len(names) > MANY:
        names.sort(key=lambda name: (name.startswith("F1 "), WORST_FIRST.index(_worst(figures[name]).outcome)))
    against = reference(comparison)
    to = "" if against is None else " to production" if against.reference == "champion" else " to baseline"
    champion = metrics.of("champion") if metrics else None
    head = ("check", "this model", _production(champion, comparison), "baseline", f"change{to} (95 % interval)")
    values = tuple(_values(metrics.of(role) if metrics else None) for role in ("candidate", "champion", "baseline"))
    changes = _changes(against)
    rows = tuple(_row(name, figures[name], [value.get(name, "") for value in values], changes) for name in names)
    return Table("Checks", (*head, "limit", "verdict"), "lrrrrll", rows)


def reasons(gate: Gate) -> Bullets:
    """Return why each check that did not pass did not, and what was not judged at all."""
    open_checks = sorted(
        (check for check in gate.checks if check.outcome != "passed"),
        key=lambda check: (check.advisory, WORST_FIRST.index(check.outcome)),
    )
    why = tuple((WORDS[c.outcome], f"{visible(c.name, 80)}:", visible(c.reason, 300)) for c in open_checks)
    return Bullets((*why, *((Strong("note:"), visible(note, 300)) for note in gate.notes)), REASONS)


def _production(champion: ModelScores | None, comparison: Comparisons | None) -> Line:
    if champion is not None:
        return f"production {visible(champion.name, 40)}"
    return "production" if comparison and comparison.champion_state == "given" else "production (none yet)"


def _worst(checks: list[Check]) -> Check:
    return min(checks, key=lambda check: (WORST_FIRST.index(check.outcome), check.advisory))


def _row(name: str, checks: list[Check], values: list[str], changes: dict[str, str]) -> tuple[Line, ...]:
    own = next((check for check in checks if not check.name.endswith(AGAINST)), None)
    candidate, champion, baseline = values
    worst = _worst(checks)
    verdict = WORDS[worst.outcome]
    limits = "; ".join(dict.fromkeys(visible(check.limit, 60) for check in checks if check.limit))
    return (
        visible(name, 80),
        visible(own.found, 60) if own and own.found else candidate,
        champion,
        baseline,
        changes.get(name, ""),
        limits,
        (verdict, "(advisory)") if worst.advisory else verdict,
    )


SHOWN: dict[str, Callable[[ModelScores], str]] = {
    "accuracy": lambda model: figure(model.test.accuracy.value),
    "macro-F1": lambda model: figure(model.test.macro_f1.value),
    "external accuracy": lambda model: figure(model.external.accuracy.value) if model.external else "",
    "latency p95 (ms)": lambda model: f"{figure(model.latency.p95_ms, 1)} ms",
    "bundle size (MB)": lambda model: f"{figure(model.megabytes, 1)} MB",
}


def _values(model: ModelScores | None) -> dict[str, str]:
    """Return every figure of a model by the name of its check."""
    if model is None:
        return {}
    by_label = {f"F1 {score.label}": figure(score.f1.value) for score in reversed(model.test.labels)}
    return by_label | {name: show(model) for name, show in SHOWN.items()}


def deltas(comparison: Comparison) -> tuple[Delta, ...]:
    """Return every change that was measured, the overall ones first."""
    external = (comparison.external_accuracy,) if comparison.external_accuracy else ()
    return (comparison.accuracy, comparison.macro_f1, *external, *comparison.labels)


def _changes(against: Comparison | None) -> dict[str, str]:
    """Return every change by the name of its check."""
    if against is None:
        return {}
    measured = {delta.name: change(delta.delta) for delta in reversed(deltas(against))}
    return measured | {"latency p95 (ms)": ratio(against.latency_ratio)}
