"""Two folders of rows into what changed between them: rows added, removed, relabelled, moved, spelt in another way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textgate import records
from textgate.evidence import DataReport
from textgate.records import Count, Evidence, Record, Sha256
from textgate.report.markdown import visible
from textgate.rows import SPLITS, Row, check_rows
from textgate.versions.row_table import Numbers, RowTable, match, others, pick, row_table
from textgate.wording import whole

EXAMPLES = 3  # of each kind of change
TEST = SPLITS.index("test")  # the splits before it are those that a model is made with


class Side(Record):
    """One of the two: where its rows come from, and how many there are."""

    name: str
    source: str
    fingerprint: Sha256
    test_sha256: Sha256
    rows: dict[str, dict[str, Count]]  # split -> label -> rows


class Place(Record):
    """A row as one side has it."""

    split: str
    label: str
    text: str


class Example(Record):
    """A row that changed. `before` is None for an added one, `after` for a removed one."""

    before: Place | None
    after: Place | None


class Transition(Record):
    """How many rows went from one label, or split, to another."""

    before: str
    after: str
    rows: Count


class DataDiff(Evidence):
    """What `make data-diff A B` found. A row can be relabelled, moved and respelt at once."""

    a: Side
    b: Side
    unchanged: Count  # same label, split and words
    added: Count
    removed: Count
    relabelled: tuple[Transition, ...]
    moved: tuple[Transition, ...]
    respelt: Count  # same label and letters; other case does not count
    seen_before: Count  # test rows of b that were training or validation rows in a
    examples: dict[str, tuple[Example, ...]]


def data_diff(a: Path, b: Path, names: tuple[str, str]) -> DataDiff:
    """Compare the rows in two folders such as build/data.

    Raises CannotTell if a folder has no data.json, or other rows than that describes.
    """
    reports = [_report(folder) for folder in (a, b)]
    labels = tuple(dict.fromkeys(label for report in reports for label in report.labels))
    before, after = (row_table(folder, labels) for folder in (a, b))
    pairs = match(before, after)
    splits, marks = (before.splits[pairs.a], after.splits[pairs.b]), (before.labels[pairs.a], after.labels[pairs.b])
    changed = {"relabelled": marks[0] != marks[1], "moved": splits[0] != splits[1], "respelt": pairs.respelt}
    removed, added = others(len(before), pairs.a), others(len(after), pairs.b)
    nothing = added[:0]
    chosen = {"added": (nothing, added), "removed": (removed, nothing)}
    chosen |= {kind: (pairs.a[rows], pairs.b[rows]) for kind, rows in changed.items()}
    return DataDiff(
        a=_side(names[0], reports[0], before, labels),
        b=_side(names[1], reports[1], after, labels),
        unchanged=len(pairs.a) - int(np.logical_or.reduce(list(changed.values())).sum()),
        added=len(added),
        removed=len(removed),
        relabelled=_transitions(*marks, labels),
        moved=_transitions(*splits, SPLITS),
        respelt=int(pairs.respelt.sum()),
        seen_before=int(((splits[0] < TEST) & (splits[1] == TEST)).sum()),
        examples=_examples(before, after, chosen),
    )


def summary(found: DataDiff) -> Iterator[str]:
    """Yield the lines for the terminal; texts, labels and names are shown so that they do nothing there."""
    for letter, side in (("A", found.a), ("B", found.b)):
        rows = sum(sum(counts.values()) for counts in side.rows.values())
        yield f"{letter}  {visible(side.name, 60)}: {whole(rows)} rows from {visible(side.source, 80)}"
    kinds = {"added": found.added, "removed": found.removed, "respelt": found.respelt}
    kinds |= {kind: sum(one.rows for one in getattr(found, kind)) for kind in ("relabelled", "moved")}
    yield f"unchanged {whole(found.unchanged)}, " + ", ".join(f"{kind} {whole(rows)}" for kind, rows in kinds.items())
    yield "test rows: " + ("the same file" if found.a.test_sha256 == found.b.test_sha256 else "another file")
    if found.seen_before:
        yield f"note: {whole(found.seen_before)} test rows of B were training or validation rows in A: a model of A's"
        yield "      rows has seen them, and would look better on B's test rows than it is"
    yield from ("", *_mix(found))
    for kind, examples in found.examples.items():
        if examples:
            yield f"\n{kind} {whole(kinds[kind])}, such as"
            yield from (f"  {_shown(example)}" for example in examples)
    for kind in ("relabelled", "moved"):
        for one in getattr(found, kind):
            yield f"{kind} {whole(one.rows)}: {visible(one.before, 40)} → {visible(one.after, 40)}"


def _report(folder: Path) -> DataReport:
    report = records.read(folder / "data.json", DataReport, "data")
    check_rows(folder, report.fingerprint)
    return report


def _side(name: str, report: DataReport, table: RowTable, labels: Sequence[str]) -> Side:
    counts = Counter(zip(table.splits.tolist(), table.labels.tolist(), strict=True))
    rows = {split: {label: counts[s, n] for n, label in enumerate(labels)} for s, split in enumerate(SPLITS)}
    return Side(
        name=name, source=report.source, fingerprint=report.fingerprint, test_sha256=report.test_sha256, rows=rows
    )


def _transitions(
    before: NDArray[np.integer], after: NDArray[np.integer], names: Sequence[str]
) -> tuple[Transition, ...]:
    changed = before != after
    counts = Counter(zip(before[changed].tolist(), after[changed].tolist(), strict=True))
    found = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Transition(before=names[old], after=names[new], rows=rows) for (old, new), rows in found)


def _examples(a: RowTable, b: RowTable, chosen: dict[str, tuple[Numbers, Numbers]]) -> dict[str, tuple[Example, ...]]:
    """Return the first rows of each kind of change; `chosen` has their numbers in a and in b, or in one alone."""
    few = {kind: tuple(numbers[:EXAMPLES].tolist() for numbers in both) for kind, both in chosen.items()}
    old = pick(a.folder, {number for numbers, _ in few.values() for number in numbers})
    new = pick(b.folder, {number for _, numbers in few.values() for number in numbers})
    return {
        kind: tuple(
            Example(before=_place(old.get(here)), after=_place(new.get(there)))
            for here, there in zip_longest(in_a, in_b, fillvalue=-1)
        )
        for kind, (in_a, in_b) in few.items()
    }


def _place(found: tuple[str, Row] | None) -> Place | None:
    return found and Place(split=found[0], label=found[1].label, text=found[1].text)


def _mix(found: DataDiff) -> Iterator[str]:
    """Yield a table of rows and shares by split and label, A beside B."""
    labels = list(found.a.rows["train"])
    width = max(10, *(len(visible(label, 24)) + 2 for label in labels))
    yield f"{'':<10}{'':<{width}}{'A':>18}{'B':>18}{'B - A':>10}"
    for split in SPLITS:
        a, b = found.a.rows[split], found.b.rows[split]
        for label in labels if any((*a.values(), *b.values())) else ():
            shares = (f"{whole(side[label])} ({_share(side, label)})" for side in (a, b))
            yield (
                f"{split:<10}{visible(label, 24):<{width}}"
                + "".join(f"{share:>18}" for share in shares)
                + (f"{b[label] - a[label]:>+10,}")
            )


def _share(rows: dict[str, int], label: str) -> str:
    total = sum(rows.values())
    return f"{100 * rows[label] / total:.1f} %" if total else "-"


def _shown(example: Example) -> str:
    """Return one line on a row: split and label, before and after where they differ, and its text or texts."""
    sides = [side for side in (example.before, example.after) if side is not None]
    places = dict.fromkeys(f"{side.split}, {visible(side.label, 40)}" for side in sides)
    texts = dict.fromkeys(visible(side.text, 100) for side in sides)
    return f"{' → '.join(places)}: {' → '.join(texts)}"
