"""What a comment does beside being read, as a Markdown parser sees it: links, pictures, HTML, words outside of code."""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OUR_HTML = re.compile(r"</?details>|<summary>[^<>]*</summary>|\s")


@dataclass(frozen=True)
class Markup:
    """`html`: what is left of it without our <details>; `text`: all words outside of code."""

    links: list[str]
    images: list[str]
    html: str
    text: str


def markup(body: str) -> Markup:
    """Parse a comment."""
    blocks = PARSER.parse(body)
    inside = [token for block in blocks for token in (block.children or [])]
    return Markup(
        links=[str(token.attrs["href"]) for token in inside if token.type == "link_open"],
        images=[str(token.attrs["src"]) for token in inside if token.type == "image"],
        html=OUR_HTML.sub(
            "", "".join(t.content for t in [*blocks, *inside] if t.type in ("html_block", "html_inline"))
        ),
        text=" ".join(token.content for token in inside if token.type == "text"),
    )
