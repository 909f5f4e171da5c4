"""Foreign text into Markdown that shows it and does nothing else.

GitHub reads meaning into text twice: its parser does (links, HTML, tables, fences), and afterwards filters look through
the parsed text for @names, #1, GH-1, commit hashes and :emoji:, so that escaping alone is undone. Neither looks into a
code span. Labels and rows therefore always become code spans; in prose every word that could mean something does.
"""

from __future__ import annotations

import re
import unicodedata

READ_AHEAD = 8  # characters read for each one shown: megabytes of white space cost nothing
MAX_MARKS = 4  # combining marks in a row; no language needs more, and stacks of them cover the lines around
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # drawn as nothing, yet no control
SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
EMOJI_JOINER = re.compile("(?<=[\u2190-\u2bff\U0001f000-\U0001faff])\ufe0f?\u200d?")
PLAIN_MARKS = "-.,;:()%'\"!?/+=<>&\u2212\u2013\u2014…≥≤\u00d7±·“”\u2018\u2019"  # minus, dashes, times, quotes
PLAIN_WORD = re.compile(rf"(?:[^\W_]|[{re.escape(PLAIN_MARKS)}])+")
MEANS_SOMETHING = re.compile(
    r"""
      :(?=.)                                    # https:x, :smile:, sha256:0
    | www\.
    | [^\W\d_]\.[^\W\d_]{2}                     # example.com, and file names look better so
    | (?<![0-9a-z]) [0-9a-f]{7,} (?![0-9a-z])   # a commit hash
    | gh-\d
    """,
    re.IGNORECASE | re.VERBOSE,
)
AROUND = re.compile(r"(\(+)?(.+?)((?(1)[).,;:!?]*|[.,;:!?]*))")  # what belongs to the sentence, not to the word
OPENS_A_BLOCK = re.compile(r"[-+=]+|\d+[.)]")


def visible(text: str, limit: int) -> str:
    """Return one line of at most `limit` characters in which nothing hides.

    White space becomes one space. Control, bidi, zero-width, private and unassigned characters and lone surrogates are
    spelt out (⟨U+202E⟩); combining marks are kept up to four in a row. What is cut off is replaced by "…".
    """
    marks, shown = 0, []
    for character in EMOJI_JOINER.sub("", text[: limit * READ_AHEAD]):
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MAX_MARKS:
            shown.append(_spelt(character))
    line = " ".join("".join(shown).split())
    cut = len(line) > limit or bool(text[limit * READ_AHEAD :].strip())
    return f"{line[: limit - 1].rstrip()}…" if cut else line


def _spelt(character: str) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character)[0] == "C" or character in BLANK_LETTERS or character in SELECTORS:
        return f"⟨U+{ord(character):04X}⟩"
    return character


def code(text: str, limit: int = 200) -> str:
    """Return text as a Markdown code span of at most `limit` shown characters, safe in paragraphs and table cells.

    `|` and the backtick become look-alikes (¦, \u02cb): a table ends its cell at | even inside a code span, and parsers
    give up on long runs of backticks, after which the rest would be live. Right-to-left text is isolated, so that it
    cannot turn the words around it.
    """
    shown = visible(text, limit).replace("|", "¦").replace("`", "\u02cb")
    if not shown:
        return "*empty*"
    return f"\u2068`{shown}`\u2069" if right_to_left(shown) else f"`{shown}`"


def prose(text: str, limit: int = 1000) -> str:
    """Return a sentence as Markdown of at most `limit` shown characters: plain words stay, any other is a code span."""
    words = [_word(word) for word in visible(text, limit).split()]
    if words and OPENS_A_BLOCK.fullmatch(words[0]):  # as a first word: a list, an underlined heading, a rule
        words[0] = f"{words[0][:-1]}\\{words[0][-1]}"
    return " ".join(words)


def _word(word: str) -> str:
    if right_to_left(word):
        return code(word, len(word))
    if not PLAIN_WORD.fullmatch(word) or MEANS_SOMETHING.search(word):
        before, meant, after = AROUND.fullmatch(word).groups()  # type: ignore[union-attr] # a word has a character
        return f"{before or ''}{code(meant, len(meant))}{after}"
    return word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def right_to_left(text: str) -> bool:
    """Say whether text holds letters that turn the words beside them around, unless it is isolated."""
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)


def bare(text: str, limit: int) -> str:
    """Return letters, digits and .,- alone: what a Mermaid string or a summary may hold without any escaping."""
    kept = (c if (c.isalnum() and c not in BLANK_LETTERS) or c in ".,-" else " " for c in text[: limit * READ_AHEAD])
    return visible("".join(kept), limit) or "-"
