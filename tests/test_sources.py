"""A source gives rows, their name and whether the user can mend them; the hub is asked only when it is named."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from textgate.config import FileSource, HubSource, WheelSource
from textgate.data.sources import read_source
from textgate.errors import CannotTell

LABELS = ("up", "down")


def test_file__rows_are_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nhello,up\n")
    found = read_source(FileSource(kind="file", path=str(path)), LABELS)
    assert (found.name, found.own, found.licence) == (str(path), True, None)
    assert [row.text for row in found.rows] == ["hello"]


def test_wheel__rows_come_with_their_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTGATE_CACHE", str(tmp_path))
    wheel = tmp_path / "downloads" / "made_up-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("django/x/locale/up/LC_MESSAGES/django.po", 'msgid "over"\nmsgstr "hello"\n')
        archive.writestr("made_up-1.0.dist-info/LICENSE", "free")
    source = WheelSource(
        kind="wheel",
        wheel="made-up==1.0",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        reader="django",
        licence="free",
    )
    found = read_source(source, LABELS)
    assert (found.name, found.own, found.licence) == ("made-up==1.0", False, b"free")
    assert [(row.text, row.label, row.group) for row in found.rows] == [("hello", "up", "django/x")]


HUB = HubSource(kind="hub", dataset="somebody/words", revision="a" * 40, files=("train.jsonl",), licence="cc0-1.0")


def test_hub__pinned_file_in_its_cache_needs_no_network(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "datasets--somebody--words" / "snapshots" / HUB.revision
    snapshot.mkdir(parents=True)
    (snapshot / "train.jsonl").write_text('{"text": "hello", "label": "up"}\n')
    code = (
        "from tests.test_sources import HUB, LABELS; from textgate.data.sources import read_source;"
        "found = read_source(HUB, LABELS); print(found.name, found.own, [row.text for row in found.rows])"
    )
    done = in_a_process(code, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.stdout.strip() == "somebody/words@aaaaaaaaaaaa False ['hello']", done.stderr


def test_hub__without_network_says_what_else_to_do(tmp_path: Path) -> None:
    code = (
        "from tests.test_sources import HUB, LABELS; from textgate.data.sources import read_source;"
        "from textgate.errors import run; import sys; sys.exit(run(lambda: read_source(HUB, LABELS)))"
    )
    done = in_a_process(code, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "cannot tell: somebody/words: train.jsonl at aaaaaaaaaaaa cannot be fetched from the hub: "
    )
    assert done.stderr.endswith("or run this once where the hub is reached and bring its cache\n")
    assert done.stderr.count("\n") == 1


def test_hub_library__is_not_imported_for_other_sources() -> None:
    done = in_a_process("import textgate.data.sources, sys; print('huggingface_hub' in sys.modules)")
    assert done.stdout.strip() == "False"


def test_file_of_another_type__is_said(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(CannotTell, match=r"rows\.parquet: expected a \.csv or \.jsonl file"):
        read_source(FileSource(kind="file", path=str(tmp_path / "rows.parquet")), LABELS)


def in_a_process(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: the hub's library reads its settings when it is imported."""
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", **variables}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=root, check=False
    )
