"""The past as tables for a terminal: how the champion changed, and two versions beside each other."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textgate.errors import CannotTell
from textgate.evidence import Estimate, Metrics, ModelScores, Release
from textgate.records import BUILD, read
from textgate.registry.history import Event
from textgate.registry.protocol import Registry


@dataclass(frozen=True)
class _Version:
    release: Release
    scores: ModelScores


def history_table(events: Sequence[Event]) -> str:
    """Return one line a change, oldest first."""
    rows = [("when (UTC)", "who", "what", "from", "to")]
    for event in events:
        what = "moved by hand" if event.number == 0 else "rollback" if event.rollback else "promotion"
        rows.append(
            (event.at or "unknown", event.by or "unknown", what, event.before or "none", event.version or "none")
        )
    return _aligned(rows) if events else "no version was ever promoted"


def comparison_table(registry: Registry, one: str, other: str) -> str:
    """Return the figures of two versions, verified, with their differences if the same rows were scored."""
    first, second = _read(registry, one), _read(registry, other)
    same = first.release.data_fingerprint == second.release.data_fingerprint
    rows: list[tuple[str, ...]] = [
        ("", one, other, "difference"),
        ("bundle", first.release.bundle_digest[:12], second.release.bundle_digest[:12], ""),
        ("data", first.release.data_fingerprint[:12], second.release.data_fingerprint[:12], ""),
        ("experiment", first.release.experiment, second.release.experiment, ""),
        ("commit", first.release.judged_commit[:12], second.release.judged_commit[:12], ""),
    ]
    ours, theirs = _figures(first.scores), _figures(second.scores)
    for name in dict.fromkeys((*ours, *theirs)):
        pair = (ours.get(name), theirs.get(name))
        rows.append((name, *map(_shown, pair), _difference(*pair) if same else ""))
    for name, unit, getter in (("latency p95", "ms", _latency), ("size", "MB", _size)):
        rows.append((name, *(f"{getter(found.scores):.1f} {unit}" for found in (first, second)), ""))
    words = (
        "The same rows were scored. A difference here has no interval: `make pr` compares row by row."
        if same
        else "Other rows were scored, so these figures do not compare: `make pr` scores both on the same rows."
    )
    return f"{_aligned(rows)}\n{words}"


def _read(registry: Registry, version: str) -> _Version:
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".compare.", dir=BUILD) as folder:
        release = registry.fetch(version, Path(folder, version))
        scores = read(Path(folder, version, "metrics.json"), Metrics, "evaluate").of("candidate")
    if scores is None:
        raise CannotTell(f"metrics.json of {version} has no figures of its model: name another version")
    return _Version(release, scores)


def _figures(scores: ModelScores) -> dict[str, Estimate]:
    found = {"accuracy": scores.test.accuracy, "macro-F1": scores.test.macro_f1}
    found |= {f"F1 {label.label}": label.f1 for label in scores.test.labels}
    return found | ({"external accuracy": scores.external.accuracy} if scores.external else {})


def _shown(found: Estimate | None) -> str:
    return f"{found.value:.3f} ({found.low:.3f}, {found.high:.3f})" if found else "none"


def _difference(one: Estimate | None, other: Estimate | None) -> str:
    return f"{other.value - one.value:+.3f}" if one and other else ""


def _latency(scores: ModelScores) -> float:
    return scores.latency.p95_ms


def _size(scores: ModelScores) -> float:
    return scores.megabytes


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align columns. What came out of a bundle may hold anything: only printable characters are shown."""
    clean = [["".join(c if c.isprintable() else "?" for c in cell)[:60] for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in clean)
    return "\n".join(line.rstrip() for line in lines)
