"""The text of a gettext .po file into pairs of English and translation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from textgate.errors import CannotTell

STATEMENT = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr(?:\[\d\])?)?\s*"((?:[^"\\]|\\.)*)"')
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def entries(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, English, translation) of each translated message, plural forms as messages of their own.

    Fuzzy (unsure), obsolete and untranslated messages and the file's header are left out. The format is that of the
    GNU gettext manual, "The Format of PO Files". Raises CannotTell with `name` and line for anything else.
    """
    entry: dict[str, str] = {}
    field, start, fuzzy = "", 1, False
    for number, raw in enumerate([*text.split("\n"), ""], start=1):
        line = raw.strip()
        match = STATEMENT.fullmatch(line)
        begins = not line or line.startswith("#") or (match is not None and match[1] in ("msgctxt", "msgid"))
        if begins and not entry.keys().isdisjoint(("msgstr", "msgstr[0]")):
            yield from () if fuzzy else _pairs(entry, start)
            entry, field, fuzzy = {}, "", False
        if line.startswith("#"):
            fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
        elif match and (match[1] or field):
            field, start = match[1] or field, start if entry else number
            entry[field] = entry.get(field, "") + re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[0]), match[2])
        elif line:
            raise CannotTell(f"{name}, line {number}: not a line of a .po file")


def _pairs(entry: dict[str, str], line: int) -> Iterator[tuple[int, str, str]]:
    english = entry.get("msgid", "")
    for field, translation in entry.items():
        if field.startswith("msgstr") and english and translation:
            plural = field not in ("msgstr", "msgstr[0]")
            yield line, entry.get("msgid_plural", english) if plural else english, translation
