"""The A/B report as blocks, for build/ab-report.md and the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from textgate.ab.found import AbReport, Accuracy, Compared, Mix, Model, Needed, Truth
from textgate.ab.judge import MISMATCH
from textgate.report.document import Block, Bullets, Code, Heading, Line, Paragraph, Strong, Table, to_markdown
from textgate.wording import change, figure, listing, whole, with_interval

WORDS = {
    "better": "the challenger is better",
    "not worse": "the challenger is not worse",
    "worse": "the challenger is worse",
    "cannot tell": "it cannot be told which is better",
}
MODES = {"split": "each text was answered by one of the two", "shadow": "both answered each text"}


def blocks(report: AbReport) -> list[Block]:
    """Return the whole report."""
    return [block for compared in report.compared for block in _compared(compared, report.margin)]


def print_report(report: Sequence[Block]) -> None:
    """Print the report on the terminal."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=None if sys.stdout.isatty() else 140)  # a file has no width to fold to
    console.print(Markdown(to_markdown(report, folded=False), hyperlinks=False))


def _compared(found: Compared, margin: float) -> Iterator[Block]:
    yield Heading(f"A/B: {WORDS[found.verdict]}", 4)
    yield Paragraph((Strong("Why:"), f"{found.reason}."))
    yield Paragraph(f"{found.mode}: {MODES[found.mode]}, {found.first} to {found.last}.")
    yield _models(found)
    if found.agreement:
        yield Paragraph((Strong("Agreement:"), f"{with_interval(found.agreement)} of the texts get the same label."))
    if found.mix:
        yield Bullets(tuple(_mix(found.mix, found.group)))
    if found.accuracy:
        yield _accuracy(found.accuracy)
    if found.truth:
        yield Paragraph(_truth(found.truth))
    yield _needed(found.needed)
    yield _labels(found)
    yield _confidence(found.champion, found.challenger)
    yield Bullets(tuple(_notes(found, margin)))


def _models(found: Compared) -> Table:
    rows = tuple(
        (name, Code(model.version), Code(model.digest[:12]), whole(model.groups), whole(model.rows))
        for name, model in (("champion", found.champion), ("challenger", found.challenger))
    )
    return Table("Models", ("", "version", "digest", f"{found.group}s", "texts"), "lllrr", rows)


def _mix(mix: Mix, group: str) -> Iterator[Line]:
    got = mix.challenger / max(1, mix.champion + mix.challenger)
    said = f"the challenger got {figure(got)} of the {group}s, it should get {figure(mix.expected_share)}"
    if mix.p_value is None:
        yield f"{said}: too few to tell whether that is chance"
    elif mix.holds:
        yield f"{said}: within chance (p {figure(mix.p_value)})"
    else:
        cure = "was the share changed meanwhile (then use --since), do the two answer equally often, are lines missing?"
        yield Strong("sample-ratio mismatch:"), f"{said} (p below {figure(MISMATCH)}): trust no figure here; {cure}"
    if mix.both:
        yield f"{whole(mix.both)} clients were answered by both: the share was changed, or a client's name"


def _accuracy(found: Accuracy) -> Table:
    rows: list[tuple[Line, ...]] = [
        ("champion", whole(found.champion_rows), with_interval(found.champion)),
        ("challenger", whole(found.challenger_rows), with_interval(found.challenger)),
        ("change, if you look once", "", change(found.change)),
        ("change, however often you look", "", change(found.change_any_time)),
    ]
    if found.won is not None and found.lost is not None:
        rows.append(("won and lost by the challenger", "", f"{whole(found.won)} and {whole(found.lost)}"))
    return Table("Accuracy", ("accuracy", "labelled texts", "95 % interval"), "lrr", tuple(rows))


def _truth(truth: Truth) -> Line:
    said = (
        f"{whole(truth.given)} labels were given: {whole(truth.used)} used, {whole(truth.unmatched)} of no text here."
    )
    if not truth.unknown:
        return said
    return f"{said} No model ever gave these labels, are they misspelt?", *map(Code, truth.unknown)


def _needed(needed: tuple[Needed, ...]) -> Table:
    def size(rows: int | None) -> str:
        return "no practical number" if rows is None else whole(rows)

    rows = tuple((part.question, size(part.rows), size(part.rows_any_time), whole(part.there)) for part in needed)
    head = ("labelled texts needed to show", "one look", "any number of looks", "there")
    return Table("Needed", head, "lrrr", rows)


def _labels(found: Compared) -> Table:
    rows = tuple(
        (Code(part.label), with_interval(part.champion), with_interval(part.challenger), change(part.change))
        for part in sorted(found.labels, key=lambda part: -abs(part.change.value))
    )
    return Table("Labels", ("answers", "champion", "challenger", "change"), "lrrr", rows)


def _confidence(champion: Model, challenger: Model) -> Table:
    bins = len(champion.confidence)
    rows: list[tuple[Line, ...]] = [("mean", figure(champion.mean_confidence), figure(challenger.mean_confidence))]
    for number in reversed(range(bins)):
        counts = [model.confidence[number] / model.rows for model in (champion, challenger)]
        if any(counts):
            edges = f"{figure(number / bins, 1)} to {figure((number + 1) / bins, 1)}"
            rows.append((edges, *map(figure, counts)))
    return Table("Confidence", ("confidence", "champion", "challenger"), "lrr", tuple(rows))


def _notes(found: Compared, margin: float) -> Iterator[Line]:
    yield (
        f"The verdict goes by the interval for any number of looks, and by the margin of {figure(margin)} in"
        " configs/gates.yaml. All other intervals are for who looks once: stop at the first pleasant one, and they hold"
        " the truth less often than 95 %."
    )
    yield f"Texts of one {found.group} are alike: intervals count {found.group}s as independent, not texts."
    if len(found.labels) > 1:
        names = listing([part.label for part in found.labels], 3)
        yield f"{len(found.labels)} labels ({names}): about one in twenty looks changed by chance."
    if found.unpaired:
        yield f"{whole(found.unpaired)} answers of the challenger have no champion's beside them and are left out."
