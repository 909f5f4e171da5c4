"""The data stage from end to end on made-up rows: same input, same bytes; every refusal says what to do."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.project import EXAMPLE, ROOT

from textgate import records
from textgate.config import DataConfig, load
from textgate.data.data import Prepared, prepare, summary, write
from textgate.errors import CannotTell
from textgate.evidence import DataReport
from textgate.files import sha256_bytes, sha256_file
from textgate.rows import SPLITS, fingerprint, read_split

WORDS = [
    first + last for first in ("ba", "cor", "del", "fin", "mu", "tra") for last in ("kon", "lip", "sed", "vut", "zem")
]
Rows = list[dict[str, str]]


def made_up(count: int, seed: int = 1) -> Rows:
    draw = random.Random(seed)
    return [
        {
            "text": f"{'good' if number % 2 else 'poor'} {' '.join(draw.choices(WORDS, k=8))}",
            "label": "praise" if number % 2 else "blame",
        }
        for number in range(count)
    ]


def table(path: Path, rows: Rows) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def settings(folder: Path, rows: Rows, **changes: Any) -> Path:
    """Write a configs/data.yaml, changed as the first lines of the shipped one tell people to."""
    raw = yaml.safe_load((EXAMPLE / "data.yaml").read_text())
    source = {"kind": "file", "path": table(folder / "rows.csv", rows), **changes.pop("source", {})}
    raw |= {"source": source, "labels": ["praise", "blame"], "external": None, "sentences": None, "test_sha256": None}
    raw |= {"expectations": str(EXAMPLE / "expectations.yaml"), **changes}
    path = folder / "configs" / "data.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(raw))
    return path


def prepared(folder: Path, rows: Rows, **changes: Any) -> Prepared:
    path = settings(folder, rows, **changes)
    return prepare(load(path, DataConfig), path, folder / "docs")


def script(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "data.py"), *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"}
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Return a folder in which the script ran on 300 rows, and what it said. Read only."""
    folder = tmp_path_factory.mktemp("ran")
    settings(folder, made_up(300))
    return folder, script(folder)


def test_own_table_of_300_rows__goes_through_to_the_four_files(
    ran: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    project, done = ran
    assert (done.returncode, done.stderr) == (0, "")
    folder = project / "build" / "data"
    assert {path.name for path in folder.iterdir()} == {
        "train.jsonl", "valid.jsonl", "test.jsonl", "external.jsonl", "data.json"
    }  # fmt: skip
    report = records.read(folder / "data.json", DataReport, "data")
    assert {name: sum(counts.values()) for name, counts in report.rows.items()} == {
        name: len(read_split(name, folder)) for name in ("train", "valid", "test", "external")
    }
    assert sum(len(read_split(name, folder)) for name in ("train", "valid", "test")) == 300
    assert report.test_sha256 == sha256_file(folder / "test.jsonl")
    assert report.fingerprint == fingerprint([sha256_file(folder / f"{name}.jsonl") for name in SPLITS])
    assert report.reference.label_share.keys() == {"praise", "blame"}
    assert len(report.reference.words_quantiles) == 21
    assert f"test_sha256: {report.test_sha256}" in done.stdout
    assert sorted(path.name for path in (project / "build").iterdir()) == ["data", "data_docs"]


def test_same_rows_in_another_order__same_bytes(tmp_path: Path) -> None:
    rows = made_up(300)
    assert prepared(tmp_path, rows).files == prepared(tmp_path, rows[::-1]).files


def test_ids__are_the_texts_own(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in prepared(tmp_path, made_up(300)).files["test.jsonl"].splitlines()]
    assert all(row["id"] == sha256_bytes(row["text"].encode())[:16] for row in rows)
    assert [row["id"] for row in rows] == sorted({row["id"] for row in rows})


def test_locked_test_rows__pass_while_they_are_the_same(tmp_path: Path) -> None:
    rows = made_up(300)
    first = prepared(tmp_path, rows).report
    assert not first.test_locked
    again = prepared(tmp_path, rows, test_sha256=first.test_sha256).report
    assert again.test_locked
    assert again.fingerprint == first.fingerprint


def test_changed_test_rows__are_refused_with_the_line_to_change(tmp_path: Path) -> None:
    wanted = prepared(tmp_path, made_up(400)).report.test_sha256
    settings(tmp_path, made_up(400), test_sha256="0" * 64)
    done = script(tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"refused: the test rows are not the locked ones: they have the sha256 {wanted}, locked is {'0' * 64}: "
        f"if that is meant, write this line into configs/data.yaml: test_sha256: {wanted}\n"
    )
    assert not (tmp_path / "build" / "data").exists()


def test_own_split_and_group__are_honoured(tmp_path: Path) -> None:
    rows = made_up(300)
    for number, row in enumerate(rows):
        row |= {"part": ("train", "valid", "test")[number // 2 % 3], "author": f"author {number // 2}"}
    report = prepared(tmp_path, rows, source={"group": "author", "split": "part"})
    assert {name: sum(counts.values()) for name, counts in report.report.rows.items()} == {
        "train": 100, "valid": 100, "test": 100, "external": 0
    }  # fmt: skip
    assert json.loads(report.files["test.jsonl"].splitlines()[0])["group"].startswith("author ")


def test_repeated_row_with_another_label__is_named(tmp_path: Path) -> None:
    rows = made_up(300)
    rows.append({"text": rows[4]["text"].upper(), "label": "praise"})
    with pytest.raises(CannotTell, match=r"line 302 repeats .*line 6, but is labelled 'praise', not 'blame'"):
        prepared(tmp_path, rows)


def test_near_duplicates__are_counted_and_shown(tmp_path: Path) -> None:
    rows = [row | {"part": ("train", "valid", "test")[number // 2 % 3]} for number, row in enumerate(made_up(300))]
    rows.append(rows[0] | {"text": rows[0]["text"] + "s", "part": "test"})
    report = prepared(tmp_path, rows, source={"split": "part"}).report
    assert report.near_duplicates == {"valid": 0, "test": 1}
    assert report.near_duplicate_examples == ((rows[-1]["text"], rows[0]["text"]),)


def test_external_rows__leave_out_what_the_model_may_have_seen(tmp_path: Path) -> None:
    rows = made_up(300)
    outside = table(tmp_path / "outside.csv", [*made_up(20, seed=2), rows[7] | {"text": rows[7]["text"] + "!"}])
    report = prepared(tmp_path, rows, external={"kind": "file", "path": outside}).report
    assert report.rows["external"] == {"praise": 10, "blame": 10}
    assert report.dropped == {"external: also among the main rows": 1}


def test_external_rows__none_left_is_said(tmp_path: Path) -> None:
    rows = made_up(300)
    outside = table(tmp_path / "outside.csv", rows[:5])
    with pytest.raises(CannotTell, match=r"no external row from .*outside\.csv is left after cleaning"):
        prepared(tmp_path, rows, external={"kind": "file", "path": outside})


def test_broken_expectation__is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "- {type: expect_column_values_to_not_match_regex, kwargs: {column: text, regex: bakon}, reason: no bakon}"
    )
    settings(tmp_path, made_up(300), expectations=str(suite))
    done = script(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("refused: expect_column_values_to_not_match_regex on text (no bakon): ")
    assert done.stderr.count("rows.csv, line ") == 3
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "build" / "data").exists()
    assert (tmp_path / "build" / "data_docs" / "index.html").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"external": {"kind": "file", "path": "x.csv", "split": "part"}},
            "configs/data.yaml: external.split: external rows are one split: delete this key",
        ),
        ({"labels": ["praise", "blame", "doubt"]}, "label 'doubt' has 0 rows after cleaning, fewer than 20"),
        ({"clean": {"min_characters": 900, "max_characters": 999, "min_words": 1}}, "label 'praise' has 0 rows after"),
        ({"labels": ["praise", "no"]}, "rows.csv, line 2: unknown label 'blame' (known: praise, no)"),
        ({"source": {"path": "gone.csv"}}, "gone.csv is missing: put the file there"),
        ({"expectations": "gone.yaml"}, "gone.yaml is missing: restore it with git"),
        ({"sentences": "gone.yaml"}, "gone.yaml is missing: write it, or set `sentences: null`"),
    ],
)
def test_settings_that_cannot_work__are_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CannotTell) as caught:
        prepared(tmp_path, made_up(60), **changes)
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(message)


def test_sentences_for_other_labels__are_named_with_the_way_out(tmp_path: Path) -> None:
    sentences = tmp_path / "sentences.yaml"
    sentences.write_text("praise: [one]\nda: [to]\n")
    with pytest.raises(
        CannotTell, match=r"sentences\.yaml: has the labels .*set `sentences: null` in configs/data\.yaml"
    ):
        prepared(tmp_path, made_up(60), sentences=str(sentences))


def test_unusable_rows__exit_2_and_keep_the_rows_of_the_last_run(
    ran: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    settings(tmp_path, made_up(300))
    shutil.copytree(ran[0] / "build", tmp_path / "build")
    before = {path.name: path.read_bytes() for path in (tmp_path / "build" / "data").iterdir()}
    with (tmp_path / "rows.csv").open("ab") as file:
        file.write(b"bl\xe5,praise\n")
    done = script(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("cannot tell: ")
    assert "rows.csv, line 302: byte " in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "build" / "data").iterdir()} == before


def test_write__replaces_the_folder_as_a_whole_and_clears_what_a_kill_left(tmp_path: Path) -> None:
    found = prepared(tmp_path, made_up(300))
    folder = tmp_path / "build" / "data"
    for leftover in (folder, folder.with_name(".data-new"), folder.with_name(".data-old")):
        leftover.mkdir(parents=True)
        (leftover / "half.jsonl").write_text("half")
    write(found, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["data"]
    assert {path.name for path in folder.iterdir()} == {*found.files, "data.json"}


def test_summary__shows_rows_a_split_and_label_drops_and_the_lock(tmp_path: Path) -> None:
    lines = summary(prepared(tmp_path, [*made_up(300), {"text": "short", "label": "blame"}]).report).splitlines()
    assert lines[0].split() == ["praise", "blame", "all"]
    assert [line.split()[0] for line in lines[1:5]] == ["train", "valid", "test", "external"]
    assert lines[5] == "dropped 1: shorter than 20 characters"
    assert "nearly a training row: 0 in test" in lines
    assert lines[-1].startswith("data: 300 rows from ")
    assert lines[-1].endswith("test rows not locked")


def test_summary__of_many_labels_shows_those_with_the_fewest_training_rows(tmp_path: Path) -> None:
    report = prepared(tmp_path, made_up(300)).report
    names = tuple(f"label-{number}" for number in range(1000))
    rows = {"train": {name: 1000 - number for number, name in enumerate(names)}}
    lines = summary(report.model_copy(update={"labels": names, "rows": rows})).splitlines()
    assert lines[0].split() == [f"label-{number}" for number in range(999, 987, -1)] + ["all"]
    assert lines[1].split() == ["train", *map(str, range(1, 13)), "500500"]
    assert lines[2] == "of 1000 labels, the 12 with the fewest training rows are shown"


def test_help__needs_no_installation(tmp_path: Path) -> None:
    done = script(tmp_path, "--help")
    assert done.returncode == 0
    assert "configs/data.yaml" in done.stdout
