"""A report or card as blocks of plain values, and the blocks into Markdown of limited length.

Nothing here is Markdown until `to_markdown` writes it, so every text, whoever wrote it, passes the escaping once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from textgate.report.markdown import bare, code, prose
from textgate.wording import whole

MAX_CHARACTERS = 60_000  # GitHub refuses a comment over 65,536; the tool that posts it adds a watermark of its own
MOST_LINES = 60  # rows of one table or list: more push everything else out of a comment
MORE = 24  # characters that "… and N more" may need

RUN_ADDRESS = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[A-Za-z0-9][A-Za-z0-9-]*/(?!\.{1,2}/)[A-Za-z0-9_.-]+/actions/runs/[1-9][0-9]*"
)


@dataclass(frozen=True)
class Code:
    """A label, name, row or hash: shown as code, cut to `limit` characters."""

    text: str
    limit: int = 60


@dataclass(frozen=True)
class Strong:
    """Words that stand out."""

    text: str


Piece = str | Code | Strong
Line = Piece | tuple[Piece, ...]


@dataclass(frozen=True)
class Heading:
    """A heading; 1 is the title of a page."""

    line: Line
    level: int = 3


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    line: Line


@dataclass(frozen=True)
class Bullets:
    """A list; items beyond `most` are counted, and more are dropped from its bottom when space runs out."""

    lines: tuple[Line, ...]
    most: int = MOST_LINES


@dataclass(frozen=True)
class Table:
    """A table; rows are dropped from its bottom when space runs out. `align` has one of l, r for each column."""

    caption: str
    head: tuple[Line, ...]
    align: str
    rows: tuple[tuple[Line, ...], ...]
    matrix: bool = False  # its columns only mean something side by side, also on a narrow screen


@dataclass(frozen=True)
class Chart:
    """Bars and perhaps a line over categories, drawn by GitHub (Mermaid); the page has pictures instead."""

    title: str
    categories: tuple[str, ...]
    bars: tuple[float, ...]
    line: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """An SVG of our own, on the page only."""

    svg: str


@dataclass(frozen=True)
class RunLink:
    """A paragraph that ends in the one kind of link there is: to a run of a repository's workflows.

    Raises ValueError for anything else. `server` is like https://github.com, `repo` like owner/name.
    """

    line: Line
    server: str
    repo: str
    run: int

    def __post_init__(self) -> None:
        """Check the address: what stands in it is not escaped."""
        if not RUN_ADDRESS.fullmatch(self.address):
            raise ValueError(f"no address of a run: {self.address[:200]!r}")

    @property
    def address(self) -> str:
        """Return where the link leads."""
        return f"{self.server}/{self.repo}/actions/runs/{self.run}"


@dataclass(frozen=True)
class Section:
    """A part that a comment folds away."""

    title: str
    blocks: tuple[Block, ...]


Block = Heading | Paragraph | Bullets | Table | Chart | Picture | RunLink | Section


@dataclass(frozen=True)
class _Part:
    """Rendered text: a start that stays, and lines that may be dropped from the bottom."""

    start: str
    lines: tuple[str, ...] = ()
    most: int = MOST_LINES

    def shown(self, kept: int) -> str:
        """Return the text with the first `kept` lines, and how many are not shown."""
        dropped = len(self.lines) - kept
        start = self.start if kept or not self.lines else ""
        more = f"\n… and {whole(dropped)} more\n" if dropped else ""
        return start + "".join(self.lines[:kept]) + more


def to_markdown(blocks: Sequence[Block], limit: int = MAX_CHARACTERS, *, folded: bool = True) -> str:
    """Return Markdown of at most `limit` characters: table rows and list items are dropped from the bottom and counted.

    `folded` writes sections as <details> and charts as Mermaid, which GitHub shows; otherwise sections get headings
    and charts are left out, for a terminal.
    """
    parts = [part for block in blocks for part in _parts(block, folded)]
    kept = [min(len(part.lines), part.most) for part in parts]
    over = sum(len(part.shown(n)) + 1 for part, n in zip(parts, kept, strict=True)) - limit
    for index in reversed(range(len(parts))):
        if over > 0 and kept[index]:
            over += MORE
            while over > 0 and kept[index]:
                kept[index] -= 1
                over -= len(parts[index].lines[kept[index]])
            over -= 0 if kept[index] else len(parts[index].start)
    return "\n".join(part.shown(n) for part, n in zip(parts, kept, strict=True))


def line_to_markdown(line: Line) -> str:
    """Return one line of escaped Markdown."""
    pieces = line if isinstance(line, tuple) else (line,)
    return " ".join(_piece(piece) for piece in pieces if piece)


def _piece(piece: Piece) -> str:
    if isinstance(piece, Code):
        return code(piece.text, piece.limit)
    if isinstance(piece, Strong):
        return f"**{prose(piece.text)}**" if piece.text.strip() else ""
    return prose(piece)


def _parts(block: Block, folded: bool) -> list[_Part]:
    match block:
        case Heading():
            return [_Part(f"{'#' * block.level} {line_to_markdown(block.line)}\n")]
        case Paragraph() | RunLink():
            link = f" [run {block.run}]({block.address})" if isinstance(block, RunLink) else ""
            return [_Part(f"{line_to_markdown(block.line)}{link}\n")]
        case Bullets():
            lines = tuple(f"- {line_to_markdown(line)}\n" for line in block.lines)
            return [_Part("", lines, block.most)] if lines else []
        case Table():
            rule = "|".join("---:" if side == "r" else "---" for side in block.align)
            return [_Part(f"{_row(block.head)}|{rule}|\n", tuple(map(_row, block.rows)))] if block.rows else []
        case Section():
            return _section(block, folded)
        case Chart() | Picture():
            return [_Part(_mermaid(block))] if isinstance(block, Chart) and block.bars and folded else []


def _section(section: Section, folded: bool) -> list[_Part]:
    title, inner = bare(section.title, 80), [part for block in section.blocks for part in _parts(block, folded)]
    if not inner:
        return []
    if not folded:
        return [_Part(f"#### {title}\n"), *inner]
    return [_Part(f"<details><summary>{title}</summary>\n"), *inner, _Part("</details>\n")]


def _row(cells: tuple[Line, ...]) -> str:
    return f"| {' | '.join(map(line_to_markdown, cells))} |\n"


def _mermaid(chart: Chart) -> str:
    names: list[str] = []
    for category in chart.categories:
        name = bare(category, 16)
        names.append(name if name not in names else f"{name} {len(names) + 1}")  # equal names would share one bar
    values = (*chart.bars, *chart.line)
    floor = max(0.0, int(min(values) * 10 - 1) / 10)  # differences near 1 vanish on a scale that starts at 0
    lines = [
        "```mermaid",
        "xychart-beta",
        f'  title "{bare(chart.title, 80)}"',
        "  x-axis [{}]".format(", ".join(f'"{name}"' for name in names)),
        f'  y-axis "F1" {floor} --> 1',
        f"  bar [{', '.join(f'{value:.3f}' for value in chart.bars)}]",
    ]
    if chart.line:
        lines.append(f"  line [{', '.join(f'{value:.3f}' for value in chart.line)}]")
    return "\n".join([*lines, "```", ""])
