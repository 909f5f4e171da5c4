"""Catalogues are read out of a wheel as data: nothing extracted, nothing imported, nothing oversize."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from textgate.data import catalogues
from textgate.data.catalogues import read_catalogue
from textgate.errors import CannotTell

PLACE = "homeassistant/components/{}/translations/{}.json"
LOCALE = "django/contrib/{}/locale/{}/LC_MESSAGES/django.po"


def wheel(folder: Path, members: dict[str, str | bytes]) -> Path:
    path = folder / "made_up-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def home_assistant(folder: Path, **more: str | bytes) -> Path:
    english = {"config": {"title": "Made up lamp", "step": {"user": "Press the button of the lamp {name} now"}}}
    danish = {
        "config": {"title": "MADE UP: Lamp", "step": {"user": "Tryk på knappen på lampen {name} nu", "new": "Ny"}}
    }
    members: dict[str, str | bytes] = {
        PLACE.format("lamp", "en"): json.dumps(english),
        PLACE.format("lamp", "da"): json.dumps(danish),
        PLACE.format("lamp", "fi"): json.dumps(english),
        PLACE.format("door", "da"): '{"title": "Ingen engelsk tekst"}',
        "made_up-1.0.dist-info/LICENSE.md": "do as you like",
        **more,
    }
    return wheel(folder, members)


def test_home_assistant__rows_are_what_was_translated_grouped_by_component(tmp_path: Path) -> None:
    found = read_catalogue(home_assistant(tmp_path), "home_assistant", ("da", "sv"))
    place = f"{PLACE.format('lamp', 'da')}: config.step.user"
    assert [(row.text, row.label, row.group, row.place) for row in found.rows] == [
        ("Tryk på knappen på lampen   nu", "da", "lamp", place)
    ]
    assert found.dropped == {catalogues.NO_ENGLISH: 2, catalogues.SAME_AS_ENGLISH: 1}
    assert found.licence == b"do as you like"


def test_django__rows_are_grouped_by_application(tmp_path: Path) -> None:
    catalogue = 'msgid "Delete %(name)s?"\nmsgstr "Slet %(name)s?"\n\nmsgid "Admin"\nmsgstr "Admin"\n'
    path = wheel(tmp_path, {LOCALE.format("admin", "da"): catalogue, "x.dist-info/licenses/LICENSE": "BSD"})
    found = read_catalogue(path, "django", ("da",))
    assert [(row.text, row.group) for row in found.rows] == [("Slet  ?", "django/contrib/admin")]
    assert found.rows[0].place == f"{LOCALE.format('admin', 'da')}, line 1"
    assert found.dropped == {catalogues.SAME_AS_ENGLISH: 1}
    assert found.licence == b"BSD"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Se [vejledningen](https://example.org/a b) nu", "Se vejledningen nu"),
        ("![billede](x.png) her", "billede her"),
        ("gå til https://example.org/x?y=1 og <b>tryk</b>", "gå til og tryk"),
        ("kør `rm -rf` på {vært} med %(n)s og %s", "kør på med og"),
        ("100 % sikker", "100 % sikker"),
    ],
)
def test_mask__markup_and_placeholders_go_words_stay(text: str, masked: str) -> None:
    assert " ".join(catalogues.mask(text).split()) == masked


def test_wheel_without_catalogues__is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotTell, match=r"^made_up-1\.0-py3-none-any\.whl holds no translations into these labels"):
        read_catalogue(home_assistant(tmp_path), "home_assistant", ("xx",))
    with pytest.raises(CannotTell, match="check `wheel`, `reader` and `labels`"):
        read_catalogue(home_assistant(tmp_path), "django", ("da",))


def test_member_names__cannot_lead_elsewhere(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"../homeassistant/components/lamp/translations/da.json": '{"a": "b"}'})
    with pytest.raises(CannotTell, match="holds no translations"):
        read_catalogue(path, "home_assistant", ("da",))


def test_oversize_member__is_not_read(tmp_path: Path) -> None:
    path = wheel(tmp_path, {PLACE.format("lamp", "da"): b" " * (catalogues.MAX_MEMBER_BYTES + 1)})
    with pytest.raises(CannotTell, match=r"translations/da\.json is larger than 4 MiB"):
        read_catalogue(path, "home_assistant", ("da",))


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_broken_catalogue__is_named(tmp_path: Path, content: bytes) -> None:
    path = wheel(tmp_path, {PLACE.format("lamp", "da"): content})
    with pytest.raises(CannotTell, match=r"translations/da\.json is not valid JSON"):
        read_catalogue(path, "home_assistant", ("da",))


def test_broken_po_file__is_named(tmp_path: Path) -> None:
    path = wheel(tmp_path, {LOCALE.format("admin", "da"): b'msgid "\xff"'})
    with pytest.raises(CannotTell, match=r"django\.po: byte 7 is not UTF-8"):
        read_catalogue(path, "django", ("da",))


def test_broken_archive__is_said(tmp_path: Path) -> None:
    path = tmp_path / "made_up-1.0-py3-none-any.whl"
    path.write_bytes(home_assistant(tmp_path).read_bytes()[:-30])
    with pytest.raises(CannotTell, match="is not a readable wheel"):
        read_catalogue(path, "home_assistant", ("da",))
