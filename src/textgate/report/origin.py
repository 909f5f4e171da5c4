"""The folded parts of the report about trust: model tests, scan, and how the model was made."""

from __future__ import annotations

from textgate.evidence import DataReport, TrainReport
from textgate.report.checks import WORDS
from textgate.report.document import Block, Bullets, Code, Line, Paragraph, Section, Strong, Table
from textgate.report.found import Found
from textgate.report.markdown import visible
from textgate.verdicts import Gate, ModelTests, Scan, Stages
from textgate.wording import duration, figure, listing, whole

Rows = list[tuple[Line, ...]]


def model_tests(found: ModelTests) -> Section:
    """Return the results of each group of model tests, the failures, and what was not checked."""
    rows = tuple(
        (Code(name, 40), whole(group.passed), whole(group.failed), whole(group.skipped), whole(group.errors))
        for name, group in found.groups.items()
    )
    table = Table("Model tests", ("group", "passed", "failed", "skipped", "broken"), "lrrrr", rows)
    failures = tuple((Code(failure.test, 80), visible(failure.reason, 200)) for failure in found.failures)
    gaps = tuple((Strong("Not checked:"), visible(sentence, 200)) for sentence in found.not_checked)
    return Section("Model tests", (table, Bullets(failures), Bullets(gaps)))


def scan(found: Scan) -> Section:
    """Return who vouched for each file, the findings, and whether the canary was caught."""
    canary = "caught" if found.canary_caught else "NOT caught"
    vouched = sum(file.voucher is not None for file in found.files)
    said = (
        f"· {whole(vouched)} of {whole(len(found.files))} files vouched for · "
        f"canary {canary} · modelscan {visible(found.modelscan_version, 20)} · {duration(found.seconds)}"
    )
    files = sorted(found.files, key=lambda file: (not file.findings, file.voucher is not None))
    rows = tuple(
        (
            Code(file.path, 80),
            whole(file.bytes),
            Code(file.voucher, 20) if file.voucher else Strong("nobody"),
            visible(listing(list(file.findings), 3), 200),
        )
        for file in files
    )
    table = Table("Scanned files", ("file", "bytes", "vouched for by", "findings"), "lrll", rows)
    return Section(
        "Scan", (Paragraph((WORDS[found.outcome], said)), Bullets(tuple(visible(e, 200) for e in found.errors)), table)
    )


def how_made(found: Found) -> Section:
    """Return where the model comes from: commit, data, training, time a stage."""
    rows: Rows = []
    if found.gate:
        rows += [("commit", _commits(found.gate)), _hash("limits (gates.yaml)", found.gate.gates_sha256)]
        rows += [_hash("bundle", found.gate.bundle_digest)]
    rows += [*(_data(found.data) if found.data else ()), *(_training(found.train) if found.train else ())]
    blocks: list[Block] = [Table("How it was made", ("what", "value"), "ll", tuple(rows))] if rows else []
    if found.data and found.data.notes:
        blocks.append(Bullets(tuple(visible(note, 200) for note in found.data.notes)))
    if found.data and found.data.near_duplicate_examples:
        pairs = tuple((Code(ours, 80), Code(theirs, 80)) for ours, theirs in found.data.near_duplicate_examples[:5])
        blocks.append(Table("Nearly the same", ("test or validation row", "training row"), "ll", pairs))
    if found.stages:
        blocks.append(_times(found.stages))
    return Section("How it was made", tuple(blocks) or (Paragraph("No evidence of it was found."),))


def _commits(gate: Gate) -> Line:
    trained, judged = (Code(commit or "not known", 64) for commit in (gate.commit, gate.judged_commit))
    return trained if gate.judged_commit in (gate.commit, None) else ("trained at", trained, "· judged at", judged)


def _hash(what: str, sha256: str | None) -> tuple[Line, ...]:
    return what, Code(f"sha256:{sha256}" if sha256 else "not known", 80)


def _data(data: DataReport) -> Rows:
    rows: Rows = [
        ("source", (Code(data.source, 200), "· licence", Code(data.licence, 60))),
        _hash("data", data.fingerprint),
        (
            "test rows",
            ("locked" if data.test_locked else Strong("not locked"), Code(f"sha256:{data.test_sha256[:12]}")),
        ),
        ("labels", f"{whole(len(data.labels))}"),
    ]
    for split, counts in data.rows.items():
        rows.append((("rows in", Code(split, 20)), whole(sum(counts.values()))))
    dropped = [f"{whole(count)} {visible(reason, 60)}" for reason, count in data.dropped.items() if count]
    nearly = [f"{whole(count)} in {visible(split, 20)}" for split, count in data.near_duplicates.items()]
    rows.append(("rows dropped", listing(dropped, 8) or "none"))
    rows.append(("nearly a training row", listing(nearly, 4) or "none"))
    return rows


def _training(train: TrainReport) -> Rows:
    scores = [f"{visible(name, 40)} {figure(value)}" for name, value in train.valid_macro_f1.items()]
    return [
        ("experiment", Code(train.experiment, 100)),
        ("device", (Code(train.device, 60), f"· {at_once(train)} ·", Code(train.precision, 20))),
        (
            "training",
            f"{duration(train.seconds)}, {whole(len(train.epochs))} epochs, {figure(train.peak_memory_mb, 0)} MB",
        ),
        ("macro-F1 on validation rows", listing(scores, 6)),
        _hash("baseline bundle", train.baseline_digest),
    ]


def at_once(train: TrainReport) -> str:
    """Return how many processes trained the model, if there were several, and how many threads each had."""
    threads = f"{whole(train.threads)} threads"
    return threads if train.processes == 1 else f"{whole(train.processes)} processes of {threads}"


def _times(stages: Stages) -> Table:
    rows = tuple(
        (Code(stage.stage, 40), duration(stage.seconds), visible(stage.outcome, 20)) for stage in stages.stages
    )
    return Table("Time of each stage", ("stage", "time", "outcome"), "lrl", rows)
