"""Figures into SVG for the page: plain strings, drawn at the width of a phone, coloured by the page's own style.

Every picture has a name and a sentence with its main figures, for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from textgate.evidence import Comparison, Delta, Epoch, ModelScores
from textgate.report.document import Picture
from textgate.report.markdown import visible
from textgate.wording import excludes_0, figure, signed, whole

WIDTH = 360
SHORT_NAME = 12  # characters that fit beside a picture
MOST = 20  # labels in one picture
SHORT = 4  # column names up to which they fit side by side
NUMBERED = 8  # labels up to which each cell has room for its number


def confusion_map(truth: Sequence[str], columns: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> Picture:
    """Return the heat map of counts by true and predicted label; of many labels, those with most mistakes.

    Shade: the share of the true label's rows.
    """
    rows = {label: counts.get(label, {}) for label in truth}
    sums = {label: max(1, sum(row.values())) for label, row in rows.items()}
    hits = {label: row.get(label, 0) for label, row in rows.items()}
    worst = sorted(truth, key=lambda label: hits[label] - sums[label])[:MOST]
    shown = [label for label in truth if label in worst]
    across = [column for column in columns if column in worst or len(columns) <= MOST]
    left, top = 84.0, 84.0 if len(across) > SHORT else 24.0
    wide = (WIDTH - left - 4) / max(1, len(across))
    high = min(wide, 56)
    parts = [_column(left + wide * (x + 0.5), top - 6, name, len(across) > SHORT) for x, name in enumerate(across)]
    for y, label in enumerate(shown):
        parts.append(_text(left - 6, top + high * (y + 0.5) + 4, _short(label), "end"))
        for x, column in enumerate(across):
            count = rows[label].get(column, 0)
            box = (left + wide * x, top + high * y, wide - 2, high - 2)
            parts.append(_cell(box, count, count / sums[label], numbered=len(across) <= NUMBERED))
    total = sum(sums.values())
    said = f"{figure(100 * sum(hits.values()) / max(1, total), 1)} % of {whole(total)} test rows lie on the diagonal."
    if len(shown) < len(truth):
        said += f" Shown are the {len(shown)} of {whole(len(truth))} labels with most mistakes."
    return _svg("Confusion: true labels down, predicted across", said, top + high * len(shown) + 4, parts)


def _column(x: float, y: float, name: str, turned: bool) -> str:
    if not turned:
        return _text(x, y, _short(name))
    return _text(x + 4, y, _short(name), "start", f' transform="rotate(-90 {x + 4:.1f} {y:.1f})"')


def _cell(box: tuple[float, float, float, float], count: int, share: float, *, numbered: bool) -> str:
    # Shades between one half and nine tenths would leave neither dark nor light numbers readable: they are skipped.
    shade = 0.55 * share if share < 0.5 else 0.8 + 0.2 * share
    x, y, wide, high = box
    rectangle = (
        f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill-opacity="{shade:.2f}">'
        f"<title>{whole(count)} rows, {figure(100 * share, 1)} %</title></rect>"
    )
    if not numbered:
        return rectangle
    kind = "on" if share >= 0.5 else "off"
    return rectangle + _text(x + wide / 2, y + high / 2 + 4, whole(count), more=f' class="{kind}"')


def reliability_diagram(models: Sequence[ModelScores]) -> Picture:
    """Return confidence against the share that was right, a line a model; on the diagonal a probability is true."""
    left, top, side = 40.0, 10.0, 300.0
    parts = [f'<line class="guide" x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}"/>']
    parts += [f'<path class="axis" d="M{left} {top}V{top + side}H{left + side}"/>']
    for step in (0, 0.5, 1):
        parts.append(_text(left - 6, top + side * (1 - step) + 4, f"{step:g}", "end"))
        parts.append(_text(left + side * step, top + side + 16, f"{step:g}"))
    parts.append(_text(left + side / 2, top + side + 32, "confidence (across), share right (up)"))
    for number, model in enumerate(models):
        points = [(left + side * b.confidence, top + side * (1 - b.accuracy), b.rows) for b in model.test.reliability]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        parts.append(f'<polyline class="line {model.role}" points="{line}"/>')
        for x, y, rows in points:
            radius = 2 + 5 * math.sqrt(min(rows, model.test.rows) / max(1, model.test.rows))
            parts.append(f'<circle class="dot {model.role}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>')
        parts += _key(left + 10, top + 14 + 16 * number, model.role, f"{model.role}: ECE {figure(model.test.ece)}")
    said = "; ".join(f"{model.role}: expected calibration error {figure(model.test.ece)}" for model in models)
    return _svg("Reliability diagram", f"{said}. Larger dots are more rows.", top + side + 42, parts)


def delta_plot(comparison: Comparison) -> Picture:
    """Return the change of F1 of each label with its interval; of many labels, those that changed most."""
    chosen = sorted(comparison.labels, key=lambda delta: -abs(delta.delta.value))[: MOST - 1]
    shown = (comparison.macro_f1, *(delta for delta in comparison.labels if delta in chosen))
    left, right, high = 100.0, 296.0, 26.0
    reach = max(0.01, *(max(abs(d.delta.low), abs(d.delta.high)) for d in shown))
    scale = (right - left) / 2 / reach
    zero = (left + right) / 2
    bottom = 8 + high * len(shown)
    parts = [f'<line class="guide" x1="{zero}" y1="4" x2="{zero}" y2="{bottom}"/>']
    for row, delta in enumerate(shown):
        parts += _interval(delta, zero, scale, 8 + high * (row + 0.5))
    for value, x in ((-reach, left), (0.0, zero), (reach, right)):
        parts.append(_text(x, bottom + 14, signed(value)))
    to = "production" if comparison.reference == "champion" else "the baseline"
    some = (
        ""
        if len(shown) > len(comparison.labels)
        else f" The labels that changed most of {whole(len(comparison.labels))}."
    )
    said = "; ".join(f"{visible(d.name, 30)} {signed(d.delta.value)}" for d in shown[:6])
    said = f"{said}.{some} Filled: the interval excludes 0."
    return _svg(f"Change of F1 against {to}, with 95 % intervals", said, bottom + 22, parts)


def _interval(delta: Delta, zero: float, scale: float, y: float) -> list[str]:
    low, middle, high = (zero + scale * v for v in (delta.delta.low, delta.delta.value, delta.delta.high))
    kind = ("better" if delta.delta.value > 0 else "worse") if excludes_0(delta) else "same"
    return [
        _text(92, y + 4, _short(delta.name), "end"),
        f'<line class="bar {kind}" x1="{low:.1f}" y1="{y:.1f}" x2="{high:.1f}" y2="{y:.1f}"/>',
        f'<circle class="point {kind}" cx="{middle:.1f}" cy="{y:.1f}" r="4.5"/>',
        _text(WIDTH - 2, y + 4, signed(delta.delta.value), "end"),
    ]


def validation_curve(epochs: Sequence[Epoch]) -> Picture:
    """Return macro-F1 on the validation rows after each epoch (at least one)."""
    values = [epoch.valid_macro_f1 for epoch in epochs]
    low, high = min(values), max(values)
    left, right, top, bottom = 48.0, 350.0, 12.0, 150.0
    step = (right - left) / max(1, len(values) - 1)
    rise = (bottom - top) / ((high - low) or 1.0)
    points = [(left + step * n, bottom - rise * (value - low)) for n, value in enumerate(values)]
    parts = [f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>']
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts.append(f'<polyline class="line candidate" points="{line}"/>')
    parts += [f'<circle class="dot candidate" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points]
    for value in {low, high}:
        parts.append(_text(left - 6, bottom - rise * (value - low) + 4, figure(value), "end"))
    parts.append(_text(left, bottom + 16, "1"))
    if len(values) > 1:
        parts.append(_text(right, bottom + 16, whole(len(values)), "end"))
    parts.append(_text((left + right) / 2, bottom + 16, "epoch"))
    said = f"From {figure(values[0])} after the first epoch to {figure(values[-1])} after epoch {len(values)}."
    return _svg("Macro-F1 on validation rows, by epoch", said, bottom + 24, parts)


def _key(x: float, y: float, role: str, words: str) -> list[str]:
    return [f'<circle class="dot {role}" cx="{x}" cy="{y - 4}" r="5"/>', _text(x + 12, y, words, "start")]


def _short(name: str) -> str:
    """Return both ends of a name: labels that begin alike often differ at the end."""
    line = visible(name, 100)
    return line if len(line) <= SHORT_NAME else f"{line[: SHORT_NAME // 2 - 1]}…{line[-SHORT_NAME // 2 :]}"


def _text(x: float, y: float, words: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def _svg(name: str, said: str, height: float, parts: list[str]) -> Picture:
    label = escape(f"{name}. {said}")
    caption = f"<figcaption>{escape(name)}. {escape(said)}</figcaption>"
    svg = f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {height:.0f}">{"".join(parts)}</svg>'
    return Picture(f"<figure>{svg}{caption}</figure>")
