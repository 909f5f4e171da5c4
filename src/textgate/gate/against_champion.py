"""A paired change with its interval into one of three answers: not worse than production, worse, or cannot tell.

The non-inferiority question of clinical trials (Piaggio et al. 2012, "Reporting of noninferiority and equivalence
randomized trials"): an interval that reaches 0 is no proof of "as good"; one that stays above -margin is.
"""

from __future__ import annotations

import math
from typing import Any

from textgate.config import AgainstChampion
from textgate.evidence import Champion, Comparison, Delta, Estimate
from textgate.verdicts import Check
from textgate.wording import change, figure, whole

PRACTICAL_ROWS = 10_000_000  # nobody labels more
NAME_CHARACTERS = 60
AGAINST = " against production"  # ends the name of each check here


def production(champion: Champion) -> str:
    """Return what the production model is called in a sentence: production v1.3.0."""
    name = " ".join((champion.name or "").split())[:NAME_CHARACTERS]
    return f"production {name}".strip()


def champion_checks(
    comparison: Comparison, champion: Champion, labels: tuple[str, ...], limits: AgainstChampion
) -> list[Check]:
    """Return one check for accuracy, for macro-F1 and for each label's F1; a label without a figure is unknown."""
    by_name = {delta.name: delta for delta in comparison.labels}
    overall = ((comparison.accuracy, limits.accuracy_margin), (comparison.macro_f1, limits.macro_f1_margin))
    checks = [answer(delta, margin, comparison.rows, champion, limits) for delta, margin in overall]
    for label in labels:
        name = f"F1 {label}"
        if name in by_name:
            checks.append(answer(by_name[name], limits.label_f1_margin, comparison.rows, champion, limits))
        else:
            reason = f'comparison.json does not compare {name}: run "make evaluate" again'
            checks.append(Check(name=f"{name}{AGAINST}", outcome="unknown", found="", limit="", reason=reason))
    return checks


def answer(delta: Delta, margin: float, rows: int, champion: Champion, limits: AgainstChampion) -> Check:
    """Ask in this order: not worse (low end above -margin), worse (high end below 0), else it cannot be told."""
    what, than = delta.name, production(champion)
    seen = f"{change(delta.delta)}, p {figure(delta.p_adjusted)}"
    common: dict[str, Any] = {"name": f"{what}{AGAINST}", "found": change(delta.delta)}
    common["limit"] = f"not worse by {figure(margin)}"
    if delta.delta.low > -margin:
        return Check(outcome="passed", reason=f"{what} is not worse than {than} by {figure(margin)}; {seen}", **common)
    if delta.delta.high < 0:
        return Check(outcome="refused", reason=f"{what} got worse than {than}; {seen}", **common)
    needed = rows_needed(delta.delta, margin, rows)
    more = f"about {whole(needed)} test rows would tell" if needed else "no practical number of test rows would tell"
    reason = f"it cannot be told whether {what} got worse than {than}; {seen}; {more}, there are {whole(rows)}"
    return Check(outcome="unknown", reason=reason, advisory=limits.when_unclear == "release", **common)


def rows_needed(delta: Estimate, margin: float, rows: int) -> int | None:
    """Return how many test rows would give a clear answer if the change stayed the same; None if no practical number.

    A half-width shrinks with 1/sqrt(rows). "Not worse" needs the lower one below change + margin, "worse" needs the
    upper one below -change; whichever comes first.
    """
    ways = ((delta.value - delta.low, delta.value + margin), (delta.high - delta.value, -delta.value))
    factors = [(half / room) ** 2 for half, room in ways if room > 0 and half / room < math.sqrt(PRACTICAL_ROWS)]
    if not factors:
        return None
    needed = max(rows, math.floor(rows * min(factors))) + 1
    return needed if needed <= PRACTICAL_ROWS else None
