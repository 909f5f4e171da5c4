"""Foreign text stays text: a CommonMark parser finds only words and code spans, and nothing GitHub's filters act on."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from textgate.report.markdown import bare, code, prose, visible

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What GitHub turns into links, mentions, pictures or formulas after parsing, wherever it stands outside of code.
ACTED_ON = re.compile(
    r"(?i)@\w|#\d|\bgh-\d|(?<![0-9a-z])[0-9a-f]{7,40}(?![0-9a-z])|https?:|ftp:|www\.|:[a-z0-9_+-]+:|\$|\w@\w"
)
HIDDEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2067\ufe00-\ufe0f\ufeff\ud800-\udfff]"
)
PIECES = [
    "@torvalds",
    "@org/team",
    "#123",
    "GH-1",
    "gh-12",
    "a/b#3",
    "a@b.com",
    "https://x.y",
    "www.x.com",
    "ftp://a.b",
    "|",
    "\\|",
    "\\",
    "`",
    "``",
    "```",
    "`" * 90,
    "~~~",
    "\n",
    "\r\n",
    "\n\n",
    "\u2028",
    "<b>",
    "</details>",
    "<!--",
    "-->",
    "<script>alert(1)</script>",
    "&lt;",
    "&#64;",
    "&amp;",
    "*",
    "**",
    "_",
    "__",
    "~~",
    "[a](b)",
    "![a](http://x)",
    "[^1]",
    "[x]: y",
    "- ",
    "1. ",
    "1)",
    "+",
    "=",
    "===",
    "---",
    "# ",
    "> ",
    "deadbeef",
    "d" * 40,
    ":smile:",
    "$x$",
    "$`",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ufeff",
    "\x00",
    "\x1b[31m",
    "\ud800",
    "\U000e0041",
    "\t",
    "  ",
    "hello",
    "1.5",
    "(x)",
    "é",
    "שלום",
    "مرحبا",
    "日本",
    "e" + "\u0301" * 9,
    "mailto:a@b.c",
    "{",
    "}",
    '"',
    "'",
    "!",
    ":",
    ";",
    "%%{init}%%",
    "\u3164",
]
hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=14).map("".join)
spaced = st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)
foreign = st.one_of(hostile, spaced)


def parts(markdown: str) -> tuple[set[str], str, list[str]]:
    """Return what the parser made of it: the kinds of tokens, the text outside of code, and the code spans."""
    kinds, words, spans = set(), [], []
    for token in PARSER.parse(markdown):
        kinds.add(token.type)
        for child in token.children or ():
            kinds.add(child.type)
            (spans if child.type == "code_inline" else words).append(child.content)
            words.append("\0" if child.type == "code_inline" else "")
    return kinds, "".join(words), spans


PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "code_inline", "em_open", "em_close"}


def assert_inert(markdown: str, *more: str) -> list[str]:
    kinds, words, spans = parts(markdown)
    assert kinds <= PLAIN | set(more)
    assert not ACTED_ON.search(words)
    assert not HIDDEN.search(markdown.replace("\n", " "))
    return spans


@settings(max_examples=400, deadline=None)
@given(foreign)
def test_prose__is_words_and_code_spans_wherever_it_stands(text):
    assert "\n" not in prose(text)
    assert_inert(prose(text))
    assert_inert(f"### {prose(text)}", "heading_open", "heading_close")
    assert_inert(f"- {prose(text)}", "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close")


@settings(max_examples=400, deadline=None)
@given(foreign)
def test_code__is_exactly_one_code_span(text):
    spans = assert_inert(code(text))
    assert len(spans) == (0 if code(text) == "*empty*" else 1)


@settings(max_examples=400, deadline=None)
@given(foreign, foreign)
def test_table_cells__never_break_their_table(one, other):
    table = f"| {code(one)} | {prose(other)} | x |\n|---|---|---|\n| {prose(one)} | {code(other)} | {code(one)} |\n"
    tokens = [token.type for token in PARSER.parse(table)]
    assert tokens.count("th_open") == 3
    assert tokens.count("td_open") == 3
    assert tokens.count("tr_open") == 2
    assert tokens.count("table_open") == 1
    assert "paragraph_open" not in tokens
    for cell in (code(one), code(other), prose(one), prose(other)):
        assert "|" not in cell  # GitHub's parser ends a cell at | even inside a code span


@settings(max_examples=300, deadline=None)
@given(foreign, st.integers(min_value=1, max_value=60))
def test_visible__is_one_line_of_limited_length_that_stays_the_same(text, limit):
    line = visible(text, limit)
    assert len(line) <= limit
    assert not HIDDEN.search(line)
    assert visible(line, limit) == line


@settings(max_examples=300, deadline=None)
@given(foreign)
def test_bare__holds_only_letters_digits_and_a_few_marks(text):
    assert re.fullmatch(r"[\w .,…-]+", bare(text, 16))
    assert len(bare(text, 16)) <= 16


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("F1 da fell by 0.041 (95 % interval)", "F1 da fell by 0.041 (95 % interval)"),
        ("F1 @torvalds got worse", "F1 `@torvalds` got worse"),
        ("see #12 and GH-3", "see `#12` and `GH-3`"),
        ("see www.1 and GH-", "see `www.1` and GH-"),
        ("commit deadbeef is", "commit `deadbeef` is"),
        ("open https://evil.example now", "open `https://evil.example` now"),
        ("run make scan: build/scan.json is missing", "run make scan: `build/scan.json` is missing"),
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("1. not a list", "1\\. not a list"),
        ("- not a list", "\\- not a list"),
        ("--- no rule", "--\\- no rule"),
        ("-0.041 stays", "-0.041 stays"),
        ("worse than 001_baseline; p 0.557", "worse than `001_baseline`; p 0.557"),
        ("gates.yaml: see (build/a_b.json), or @me!", "`gates.yaml`: see (`build/a_b.json`), or `@me`!"),
        ("call f(a_b). :: @", "call `f(a_b)`. `:`: `@`"),
        ("[link](x) *bold*", "`[link](x)` `*bold*`"),
        ("label שלום here", "label \u2068`שלום`\u2069 here"),
        ("", ""),
    ],
)
def test_prose__keeps_plain_words_and_makes_the_others_code(text, shown):
    assert prose(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "`a¦b`"),
        ("a`b", "`aˋb`"),
        ("two\nlines\tand\r\nmore", "`two lines and more`"),
        ("\u202eevil", "`⟨U+202E⟩evil`"),
        ("zero\u200bwidth", "`zero⟨U+200B⟩width`"),
        ("nul\x00", "`nul⟨U+0000⟩`"),
        ("blank\u3164letter\u2800", "`blank⟨U+3164⟩letter⟨U+2800⟩`"),
        ("half \ud83d", "`half ⟨U+D83D⟩`"),
        ("❤\ufe0f 👩\u200d🚒", "`❤ 👩🚒`"),
        ("a" + "\u0301" * 50, "`a" + "\u0301" * 4 + "`"),
        ("  ", "*empty*"),
        ("שלום", "\u2068`שלום`\u2069"),
    ],
)
def test_code__shows_what_is_hidden_and_disarms_the_rest(text, shown):
    assert code(text) == shown


def test_visible__cuts_long_text_and_says_so():
    assert visible("word " * 100, 20) == "word word word word…"
    assert visible("abc", 3) == "abc"
    assert visible("abcd", 3) == "ab…"


def test_visible__does_not_read_megabytes_to_show_a_line():
    assert visible(" " * 5_000_000 + "end", 40) == "…"
    assert visible("x" * 5_000_000, 40) == "x" * 39 + "…"
