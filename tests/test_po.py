"""The .po format: what counts as a translated message."""

from __future__ import annotations

import pytest

from textgate.data.po import entries
from textgate.errors import CannotTell

CATALOGUE = r"""
# A translator's words.
msgid ""
msgstr ""
"Language: xx\n"

#: made/up.py:3
msgctxt "verb"
msgid "one"
msgstr "en"
msgid ""
"long "
"text"
msgstr ""
"lang "
"\"tekst\"\n"

#, fuzzy, python-format

msgid "unsure"
msgstr "usikker"

#, python-format
msgid "%d day"
msgid_plural "%d days"
msgstr[0] "%d dag"
msgstr[1] "%d dage"

msgid "not yet"
msgstr ""

#~ msgid "old"
#~ msgstr "gammel"
"""


def test_entries__translated_messages_with_their_line() -> None:
    assert list(entries(CATALOGUE, "xx.po")) == [
        (8, "one", "en"),
        (11, "long text", 'lang "tekst"\n'),
        (24, "%d day", "%d dag"),
        (24, "%d days", "%d dage"),
    ]


def test_entries__last_message_needs_no_line_end() -> None:
    assert list(entries('msgid "a"\nmsgstr "b"', "xx.po")) == [(1, "a", "b")]


@pytest.mark.parametrize("line", ['msgid "open', "words", '"no field yet"', 'msgid "a" "b"'])
def test_entries__foreign_line_is_named(line: str) -> None:
    with pytest.raises(CannotTell, match=r"^xx\.po, line 2: not a line of a \.po file$"):
        list(entries(f"\n{line}\n", "xx.po"))
