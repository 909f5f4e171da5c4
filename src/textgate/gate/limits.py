"""The candidate's own figures and their limits into checks."""

from __future__ import annotations

from collections.abc import Iterator

from textgate.config import Gates
from textgate.evidence import DataReport, Metrics, ModelScores
from textgate.gate.evidence_set import Absent, EvidenceSet, Sealed
from textgate.records import Outcome
from textgate.verdicts import Check
from textgate.wording import figure


def unknown(name: str, absent: Absent, limit: str = "") -> Check:
    """Return the check that absent evidence cannot answer."""
    return Check(name=name, outcome=absent.outcome, found="", limit=limit, reason=absent.reason)


def limit_checks(usable: EvidenceSet, gates: Gates) -> Iterator[Check]:
    """Yield the checks of scores, latency and size; a figure that is not to be had is unknown."""
    metrics, data, sealed = usable.metrics, usable.data, usable.bundle
    candidate = metrics.of("candidate") if isinstance(metrics, Metrics) else None
    if isinstance(data, DataReport) and candidate is not None:
        yield from _scores(candidate, data, gates)
        p95 = candidate.latency.p95_ms
        yield _bounded("latency p95", p95, gates.max_p95_ms, "ms", passed=p95 < gates.max_p95_ms, sign="<")
    else:
        absent = metrics if isinstance(metrics, Absent) else Absent("metrics.json cannot be matched with the rows")
        yield unknown("accuracy", absent, f"≥ {figure(gates.min_accuracy)}")
        yield unknown("macro-F1", absent, f"≥ {figure(gates.min_macro_f1)}")
        yield unknown("latency p95 (ms)", absent, f"< {figure(gates.max_p95_ms, 0)} ms")
    if isinstance(sealed, Sealed):
        size = sealed.megabytes
        yield _bounded("bundle size", size, gates.max_bundle_mb, "MB", passed=size <= gates.max_bundle_mb, sign="≤")


def _scores(candidate: ModelScores, data: DataReport, gates: Gates) -> Iterator[Check]:
    yield _at_least("accuracy", candidate.test.accuracy.value, gates.min_accuracy)
    yield _at_least("macro-F1", candidate.test.macro_f1.value, gates.min_macro_f1)
    by_label = {score.label: score for score in candidate.test.labels}
    for label in data.labels:
        score, limit = by_label.get(label), f"≥ {figure(gates.min_label_f1)}"
        if score is None or not score.rows:
            absent = Absent(f"F1 {label} cannot be told, no test row has this label: add rows of it")
            yield unknown(f"F1 {label}", absent, limit)
        else:
            yield _at_least(f"F1 {label}", score.f1.value, gates.min_label_f1)
    if not external_rows(data):
        return
    if candidate.external is None or candidate.external.rows != external_rows(data):
        absent = Absent('metrics.json leaves out external rows: run "make evaluate" again')
        yield unknown("external accuracy", absent, f"≥ {figure(gates.min_external_accuracy)}")
    else:
        yield _at_least("external accuracy", candidate.external.accuracy.value, gates.min_external_accuracy)


def external_rows(data: DataReport) -> int:
    """Return how many rows from another source there are."""
    return sum(data.rows.get("external", {}).values())


def _at_least(name: str, value: float, limit: float) -> Check:
    found, wanted = _apart(value, limit, 3)
    if value >= limit:
        return Check(name=name, outcome="passed", found=found, limit=f"≥ {wanted}", reason=f"{name} is {found}")
    reason = f"{name} is {found}, the limit is {wanted}"
    return Check(name=name, outcome="refused", found=found, limit=f"≥ {wanted}", reason=reason)


def _bounded(name: str, value: float, limit: float, unit: str, *, passed: bool, sign: str) -> Check:
    found, wanted = _apart(value, limit, 1)
    reason = f"{name} is {found} {unit}" + ("" if passed else f", the limit is {sign} {wanted} {unit}")
    outcome: Outcome = "passed" if passed else "refused"
    bound = f"{sign} {wanted} {unit}"
    return Check(name=f"{name} ({unit})", outcome=outcome, found=f"{found} {unit}", limit=bound, reason=reason)


def _apart(value: float, limit: float, decimals: int) -> tuple[str, str]:
    """Return both as text, with as many decimals as it takes to see which is larger, and that neither is 0."""
    while decimals < 6 and (
        (value != limit and figure(value, decimals) == figure(limit, decimals))
        or any(number and not float(f"{number:.{decimals}f}") for number in (value, limit))
    ):
        decimals += 1
    return figure(value, decimals), figure(limit, decimals)
