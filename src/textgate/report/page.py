"""The report's blocks into report.html: one file that needs no script and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from textgate.report.document import Block, Bullets, Code, Heading, Line, Paragraph, Picture, Piece, Section, Table
from textgate.report.markdown import right_to_left, visible
from textgate.report.page_style import STYLE
from textgate.wording import whole

MAX_TEXT = 1000
MOST_LINES = 2000  # rows of one table: a browser stays quick
STACKED = 5  # columns that a phone cannot show side by side
COLOURED = ("refused", "cannot", "better", "worse")


def to_html(blocks: Sequence[Block], title: str) -> str:
    """Return a whole page; its policy allows this one style sheet and nothing else: no text loads or runs anything."""
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(visible(title, 100))}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{''.join(map(_block, blocks))}</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h1>{_line(block.line)}</h1>\n"
    if isinstance(block, Paragraph):
        return f"<p>{_line(block.line)}</p>\n"
    if isinstance(block, Bullets):
        items = "".join(f"<li>{_line(line)}</li>" for line in block.lines[: block.most])
        return f"<ul>{items}</ul>\n{_more(block.lines, block.most)}" if items else ""
    if isinstance(block, Table):
        return _table(block) if block.rows else ""
    if isinstance(block, Section):
        inner = "".join(map(_block, block.blocks))
        return f"<section>\n<h2>{escape(block.title)}</h2>\n{inner}</section>\n" if inner else ""
    return block.svg + "\n" if isinstance(block, Picture) else ""  # charts are for GitHub: the pictures show more


def _table(table: Table) -> str:
    """Return a table in a box that scrolls, also by keyboard; one with many columns is stacked on a narrow screen."""
    sides = ["num" if side == "r" else "txt" for side in table.align]
    names = [_line(cell) for cell in table.head]
    head = "".join(f'<th scope="col" class="{side}">{name}</th>' for side, name in zip(sides, names, strict=True))
    labels = [f'<span class="of">{name}</span> ' if number else "" for number, name in enumerate(names)]
    stacked = len(names) >= STACKED and not table.matrix

    def cell(side: str, label: str, line: Line) -> str:
        shown = _line(line)
        return f'<td class="{side}">{label if stacked and shown else ""}{shown}</td>'

    rows = "".join(f"<tr>{''.join(map(cell, sides, labels, row))}</tr>\n" for row in table.rows[:MOST_LINES])
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(table.caption)}">'
        f'<table class="{"stacked" if stacked else "plain"}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table></div>\n{_more(table.rows, MOST_LINES)}"
    )


def _more(lines: Sequence[object], most: int) -> str:
    return f"<p>… and {whole(len(lines) - most)} more</p>\n" if len(lines) > most else ""


def _line(line: Line) -> str:
    pieces = line if isinstance(line, tuple) else (line,)
    return " ".join(_piece(piece) for piece in pieces if piece)


def _piece(piece: Piece) -> str:
    if isinstance(piece, str):
        return _prose(piece)
    if isinstance(piece, Code):
        return f'<code dir="auto">{escape(visible(piece.text, piece.limit)) or "<em>empty</em>"}</code>'
    words = _prose(piece.text)
    first = words.split(" ")[0]
    return f'<strong class="{first}">{words}</strong>' if first in COLOURED else f"<strong>{words}</strong>"


def _prose(text: str) -> str:
    words = visible(text, MAX_TEXT).split(" ")
    return " ".join(f"<bdi>{escape(word)}</bdi>" if right_to_left(word) else escape(word) for word in words)
