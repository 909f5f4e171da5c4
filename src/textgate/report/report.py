"""Evidence into the comment on a pull request: verdict, one table, what changed; everything else folded away.

The gate judges; this module only shows. It takes typed evidence and nothing else, and says what is missing.
"""

from __future__ import annotations

from textgate.evidence import Comparison, Delta
from textgate.report.checks import WORDS, checks_table, deltas, reasons, reference
from textgate.report.details import sections
from textgate.report.document import Block, Bullets, Code, Heading, Line, Paragraph, Piece, Strong
from textgate.report.found import Found
from textgate.report.markdown import visible
from textgate.report.origin import at_once
from textgate.verdicts import StageTime
from textgate.wording import change, duration, excludes_0, figure, listing, whole

SIGNIFICANT = 0.05  # goes with the 95 % intervals
JUDGING = ("model_tests", "scan")  # a no of theirs without a reason is one that the gate's table explains
NAMED = 8  # figures named in one sentence


def compose(found: Found) -> tuple[Block, ...]:
    """Return the whole report as blocks, whatever evidence there is."""
    return Heading(sentence(found)), *_stopped_stages(found), *body(found)


def body(found: Found) -> tuple[Block, ...]:
    """Return the report without its first line and the stages that stopped."""
    blocks: list[Block] = [*_overall(found)]
    if found.gate is not None:
        blocks += [checks_table(found.gate, found.metrics, found.comparison), reasons(found.gate)]
    against = reference(found.comparison)
    if against is not None:
        blocks += changed(against)
    if found.comparison is not None:
        blocks += [Paragraph(line) for line in beside_baseline(found.comparison.baseline)]
    if found.problems:
        blocks += [Paragraph((Strong("Missing:"), "the report shows what there is."))]
        blocks += [Bullets(tuple(visible(problem.sentence, 300) for problem in found.problems))]
    return (*blocks, *sections(found), Paragraph(_footer(found)))


def sentence(found: Found) -> str:
    """Return the verdict in one line."""
    if found.gate is not None:
        return visible(found.gate.sentence, 400)
    stages = [stage.stage for stage in stopped(found)] + [problem.stage for problem in found.problems]
    return f"No verdict: the stage {visible((stages or ['gate'])[0], 40)} did not finish"


def stopped(found: Found) -> list[StageTime]:
    """Return the stages that the table does not explain and that did not pass, as their own records say."""
    stages = found.stages.stages if found.stages else ()
    broken = [stage for stage in stages if stage.outcome in ("refused", "unknown") and stage.stage != "gate"]
    return [stage for stage in broken if stage.reason or stage.stage not in JUDGING]


def _stopped_stages(found: Found) -> list[Block]:
    stages = stopped(found)
    words = tuple(
        (WORDS[stage.outcome], f"{visible(stage.stage, 40)}: {visible(stage.reason or 'it gave no reason', 300)}")
        for stage in stages
    )
    return [Paragraph("Stages that did not pass:"), Bullets(words)] if stages else []


def _overall(found: Found) -> list[Block]:
    against, candidate = reference(found.comparison), found.metrics.of("candidate") if found.metrics else None
    sentences = []
    if candidate is not None:
        scores = candidate.test
        sentences.append(
            f"Overall: accuracy {figure(scores.accuracy.value)}, macro-F1 {figure(scores.macro_f1.value)} "
            f"on {whole(scores.rows)} test rows."
        )
    if against is not None:
        sentences.append(
            f"A change of {figure(against.detectable_accuracy)} or more in accuracy, or of "
            f"{figure(against.detectable_macro_f1)} in macro-F1, would be seen four times out of five."
        )
    if found.comparison is not None and found.comparison.champion_state == "none yet":
        sentences.append("There is no production model yet, so changes are shown against the baseline.")
    return [Paragraph(" ".join(sentences))] if sentences else []


def changed(comparison: Comparison) -> list[Block]:
    """Return what changed, as the gate sees it: the interval excludes 0; and what these rows cannot tell."""
    told = [delta for delta in deltas(comparison) if excludes_0(delta)]
    told.sort(key=lambda delta: -abs(delta.delta.value))
    untold = [visible(delta.name, 60) for delta in deltas(comparison) if not excludes_0(delta)]
    to = "production" if comparison.reference == "champion" else "the baseline"
    better = [_with_change(delta) for delta in told if delta.delta.value > 0]
    worse = [_with_change(delta) for delta in told if delta.delta.value <= 0]
    lines: list[Line] = []
    if better:
        lines.append((Strong(f"better than {to}:"), listing(better, NAMED)))
    if worse:
        lines.append((Strong(f"worse than {to}:"), listing(worse, NAMED)))
    if untold:
        lines.append((Strong("no difference could be told:"), listing(untold, NAMED)))
    counts = f"{whole(comparison.lost)} rows lost and {whole(comparison.won)} won against {to}."
    return [Paragraph((Strong("What changed:"), counts)), Bullets(tuple(lines))]


def _with_change(delta: Delta) -> str:
    doubt = "" if delta.p_adjusted < SIGNIFICANT else f", though p is {figure(delta.p_adjusted)}"
    return f"{visible(delta.name, 60)} {change(delta.delta)}{doubt}"


def beside_baseline(comparison: Comparison) -> tuple[Line, ...]:
    """Return the sentence on where the simple model is ahead, at home or away; none if it is nowhere ahead."""
    figures = ((comparison.accuracy, "at home"), (comparison.macro_f1, "at home"))
    if comparison.external_accuracy is not None:
        figures = (*figures, (comparison.external_accuracy, "away from home"))  # type: ignore[assignment]
    if all(delta.delta.value >= 0 for delta, _ in figures):
        return ()
    parts = "; ".join(_ahead(delta, place) for delta, place in figures)
    return ((Strong("Beside the simple baseline:"), f"{parts}."),)


def _ahead(delta: Delta, place: str) -> str:
    name = delta.name.removeprefix("external ")
    if delta.delta.value == 0:
        return f"{place} both are equal in {name} ({figure(delta.candidate)})"
    leader = "this model" if delta.delta.value > 0 else "the baseline"
    high, low = max(delta.candidate, delta.reference), min(delta.candidate, delta.reference)
    sure = "is better" if delta.p_value < SIGNIFICANT else "is ahead, but within chance,"
    return f"{place} {leader} {sure} in {name} ({figure(high)} against {figure(low)})"


def _footer(found: Found) -> Line:
    gate, train = found.gate, found.train
    pieces: list[Piece] = []
    if gate and gate.bundle_digest:
        pieces += ["Bundle", Code(f"sha256:{gate.bundle_digest[:12]}"), "·"]
    if gate and gate.commit:
        commit, _, changes = gate.commit.partition("+")
        pieces += ["commit", Code(commit, 12), *(["with changes that are in no commit"] if changes else []), "·"]
    if gate and gate.data_fingerprint:
        pieces += ["data", Code(gate.data_fingerprint[:12]), "·"]
    if train:
        pieces += [f"trained {duration(train.seconds)} on {visible(train.device, 30)} ({at_once(train)}) ·"]
    return (*pieces, "pictures and the whole report: report.html among the run's artifacts")
