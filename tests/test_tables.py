"""CSV and JSONL: what is accepted, and the message for each row that is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from textgate.config import FileSource
from textgate.data.tables import RawRow, read_table, read_tables
from textgate.errors import CannotTell

LABELS = ("up", "down")
PLAIN = FileSource(kind="file", path="rows")
FULL = FileSource(kind="file", path="rows", text="body", label="class", group="author", split="part")


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, columns: FileSource = PLAIN) -> str:
    """Return the one line that reading this file ends with, its folder left out."""
    with pytest.raises(CannotTell) as caught:
        read_tables(path, columns, LABELS)
    message = str(caught.value).replace(f"{path.parent}/", "")
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_csv__rows_carry_their_line(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", 'label,text\nup,"two\nlines, one row"\n\ndown,plain\n')
    assert read_table(path, PLAIN, LABELS) == [
        RawRow("two\nlines, one row", "up", None, None, f"{path}, line 2"),
        RawRow("plain", "down", None, None, f"{path}, line 5"),
    ]


def test_csv__byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", b"\xef\xbb\xbftext,label\r\nbl\xc3\xa5,up\r\n")
    assert [(row.text, row.label) for row in read_table(path, PLAIN, LABELS)] == [("blå", "up")]


def test_own_column_names_group_and_split_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", "body,class,author,part,more\nhello,up,ann,test,x\n")
    assert read_table(path, FULL, LABELS) == [RawRow("hello", "up", "ann", "test", f"{path}, line 2")]


def test_jsonl__whole_numbers_are_labels_and_groups(tmp_path: Path) -> None:
    path = written(
        tmp_path, "rows.jsonl", '\ufeff{"text": "a", "label": 1, "g": 7}\n\n{"text": "b", "label": "0", "g": "x"}'
    )
    columns = FileSource(kind="file", path="rows", group="g")
    rows = read_table(path, columns, ("0", "1"))
    assert [(row.label, row.group, row.place) for row in rows] == [
        ("1", "7", f"{path}, line 1"),
        ("0", "x", f"{path}, line 3"),
    ]


def test_folder__files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    written(tmp_path / "b", "rows.CSV", "text,label\nsecond,up\n")
    written(tmp_path, "a.jsonl", json.dumps({"text": "first", "label": "up"}))
    written(tmp_path, "README.md", "not rows")
    assert [row.text for row in read_tables(tmp_path, PLAIN, LABELS)] == ["first", "second"]


def test_folder_without_rows__is_said(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    assert refusal(tmp_path / "rows") == "rows holds no .csv or .jsonl file: put your rows there, or mend `path`"


FIX = "mend the row, or `labels` in configs/data.yaml"
CSV_REFUSALS = {
    "": "rows.csv is empty: write some rows, or mend `path` in configs/data.yaml",
    "text,label\n": "rows.csv has no rows: write some, or mend `path` in configs/data.yaml",
    "body,label\na,up\n": "rows.csv, line 1: no column 'text' (found: 'body', 'label'): mend it, or name yours in "
    "configs/data.yaml",
    "text,label,text\na,up,b\n": "rows.csv, line 1: more than one column 'text' (found: 'text', 'label', 'text'): "
    "mend it, or name yours in configs/data.yaml",
    "text,label\na,up\nb,sideways\n": f"rows.csv, line 3: unknown label 'sideways' (known: up, down): {FIX}",
    "text,label\na,\n": f"rows.csv, line 2: empty label '' (known: up, down): {FIX}",
    "text,label\na,NaN\n": f"rows.csv, line 2: empty label 'NaN' (known: up, down): {FIX}",
    "text,label\n  ,up\n": "rows.csv, line 2: empty text: write one, or delete the row",
    "text,label\na, b,up\n": "rows.csv, line 2: 3 fields, the header has 2: put a text that holds a comma between "
    "double quotes",
    'text,label\n"a,up\nb,down\n': "rows.csv, line 2: not valid CSV (unexpected end of data): look for an unbalanced "
    "double quote in this row or one above",
    'text,label\nok,up\n"a"b,up\n': "rows.csv, line 3: not valid CSV (',' expected after '\"'): look for an unbalanced "
    "double quote in this row or one above",
    "text,label\n" + "a" * 200_000 + ",up\n": "rows.csv, line 2: not valid CSV (field larger than field limit (131072))"
    ": look for an unbalanced double quote in this row or one above",
}


@pytest.mark.parametrize("content", CSV_REFUSALS)
def test_csv__each_unusable_row_is_named(tmp_path: Path, content: str) -> None:
    assert refusal(written(tmp_path, "rows.csv", content)) == CSV_REFUSALS[content]


JSONL_REFUSALS = {
    '{"text": "a", "label": "up"}\n{"text": \n': "rows.jsonl, line 2: not valid JSON (Expecting value: line 1 column "
    "10 (char 9)): write one object a line",
    "[1]": "rows.jsonl, line 1: not a JSON object: write one object a line",
    '{"label": "up"}': "rows.jsonl, line 1: no key 'text' (found: 'label'): mend the row, or name yours in "
    "configs/data.yaml",
    '{"text": ["a"], "label": "up"}': "rows.jsonl, line 1: 'text' is not a text (['a']): write it between double "
    "quotes",
    '{"text": "a", "label": true}': "rows.jsonl, line 1: 'label' is not a text (True): write it between double quotes",
    '{"text": "a", "label": null}': f"rows.jsonl, line 1: empty label '' (known: up, down): {FIX}",
    '{"text": "a", "label": NaN}': f"rows.jsonl, line 1: empty label '' (known: up, down): {FIX}",
    '{"text": NaN, "label": "up"}': "rows.jsonl, line 1: empty text: write one, or delete the row",
    '{"text": "a \\ud800", "label": "up"}': "rows.jsonl, line 1: 'text' holds half a character (a lone surrogate): "
    "mend the row",
}


@pytest.mark.parametrize("content", JSONL_REFUSALS)
def test_jsonl__each_unusable_row_is_named(tmp_path: Path, content: str) -> None:
    assert refusal(written(tmp_path, "rows.jsonl", content)) == JSONL_REFUSALS[content]


def test_jsonl__bottomless_nesting_is_not_valid(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.jsonl", '{"text": ' + "[" * 200_000)
    assert refusal(path).startswith("rows.jsonl, line 1: not valid JSON (")


def test_other_bytes_than_utf8__are_named_by_line_and_byte(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", b"text,label\nbl\xe5,up\n")
    assert refusal(path) == "rows.csv, line 2: byte 13 is not UTF-8: save the file as UTF-8"


def test_missing_file__that_dvc_keeps_names_the_command(tmp_path: Path) -> None:
    for name in ("rows.csv", "many"):
        (tmp_path / f"{name}.dvc").write_text("outs:\n")
        assert f'{name} is missing, DVC keeps it outside git: run ".venv/bin/python -m dvc pull' in refusal(
            tmp_path / name
        )


def test_missing_or_foreign_file__is_said(tmp_path: Path) -> None:
    assert refusal(tmp_path / "rows.csv").startswith("rows.csv is missing: put the file there")
    assert refusal(tmp_path / "rows.xlsx") == "rows.xlsx: there is no such file: mend `path` in configs/data.yaml"
    assert refusal(written(tmp_path, "rows.xlsx", "x")) == (
        "rows.xlsx: expected a .csv or .jsonl file, or a folder of them: mend `path` in configs/data.yaml"
    )


@pytest.mark.parametrize("folder", [".", "..", "build"])
def test_folder_that_holds_the_build__is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    (tmp_path / "here" / "build").mkdir(parents=True)
    written(tmp_path / "here", "rows.csv", "text,label\na,up\n")
    monkeypatch.chdir(tmp_path / "here")
    assert refusal(Path(folder)) == (
        f"{folder} also holds build/, which textgate writes: name a folder with nothing but your rows"
    )


def test_empty_group_and_unknown_split__are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", "body,class,author,part\na,up,,train\n")
    assert refusal(path, FULL).startswith("rows.csv, line 2: empty 'author': write one, or set `group: null`")
    path = written(tmp_path, "rows.csv", "body,class,author,part\na,up,ann,dev\n")
    assert refusal(path, FULL) == "rows.csv, line 2: unknown split 'dev' (known: train, valid, test): mend the row"
