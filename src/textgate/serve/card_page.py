"""The champion's model card, Markdown that a stranger may have written, as a page that can neither run nor load."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from markdown_it import MarkdownIt

from textgate.bundle import CARD
from textgate.serve.page import HEADERS
from textgate.serve.served import Served

RELEASED_CARD = "MODEL_CARD.md"  # beside release.json; an archive holds no README.md
MAX_BYTES = 100_000  # the shipped card has 4 kB; turning this much into HTML takes up to a second
FRONT_MATTER = re.compile(r"\A---\r?\n.*?^---\s*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"https?://", re.IGNORECASE)
NO_CARD = "This model came without a card."
TOO_LARGE = f"This model's card has more than {MAX_BYTES:,} bytes and is not shown."


def routes() -> APIRouter:
    """Return GET /model-card."""
    router = APIRouter()

    @router.get(
        "/model-card",
        response_class=HTMLResponse,
        summary="The champion's model card, for people",
        responses={404: {"description": "The model came without a card", "content": {"text/html": {}}}},
    )
    async def _card(request: Request) -> HTMLResponse:
        served: Served = request.app.state.models.loaded()["champion"]
        status, body = await run_in_threadpool(_found, served)
        return HTMLResponse(_page(served.version, served.bundle.digest, body), status, HEADERS)

    return router


def _found(served: Served) -> tuple[int, str]:
    """Return the status and the HTML of a model's card."""
    for path in (served.folder / RELEASED_CARD, served.bundle.path / CARD):
        if path.is_file():
            return 200, _read(path)
    return 404, f"<p>{NO_CARD}</p>"


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    return to_html(content.decode("utf-8", "replace")) if len(content) <= MAX_BYTES else f"<p>{TOO_LARGE}</p>"


@lru_cache(maxsize=2)
def to_html(card: str) -> str:
    """Return a card without its front matter as HTML: no markup of its own, no pictures, no links but to the web."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    markdown.validateLink = lambda url: LINK.match(url) is not None  # type: ignore[method-assign]
    markdown.add_render_rule("table_open", _table_open)
    markdown.add_render_rule("table_close", _table_close)
    markdown.add_render_rule("link_open", _link_open)
    tokens = markdown.parse(FRONT_MATTER.sub("", card, count=1))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"  # the page has a first heading of its own
        if style := token.attrGet("style"):  # a column's side, which the policy would not let through as a style
            token.attrs = {"class": str(style).removeprefix("text-align:")}
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _table_open(*_: Any) -> str:
    """Let a wide table scroll in a box of its own, also by keyboard."""
    return '<div class="scroll" role="region" tabindex="0" aria-label="Table"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _link_open(renderer: Any, tokens: Any, index: int, options: Any, environment: Any) -> str:
    tokens[index].attrSet("rel", "noreferrer nofollow")
    return str(renderer.renderToken(tokens, index, options, environment))


def _page(version: str, digest: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>textgate: model card</title>\n'
        '<link rel="icon" href="static/icon.svg" type="image/svg+xml">\n'
        '<link rel="stylesheet" href="static/page.css">\n</head>\n<body>\n<main class="card">\n'
        f'<h1>Model card</h1>\n<p class="model"><span title="Digest of the bundle: {digest}">Model '
        f'<bdi>{escape(version)}</bdi> · <code>{digest[:12]}</code></span> <a href="./">Try the model</a></p>\n'
        f"{body}</main>\n</body>\n</html>\n"
    )
