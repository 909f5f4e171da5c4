"""A reader sees the old file or the new one; a writer that fails leaves nothing behind; sizes have limits."""

import hashlib
import stat

import pytest

from textgate.errors import CannotTell
from textgate.files import (
    MAX_TEXT_BYTES,
    read_jsonl,
    read_text,
    sha256_bytes,
    sha256_file,
    write_atomically,
    write_jsonl,
    write_text,
)


def test_sha256__of_bytes_and_of_a_file_agree_with_hashlib(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(content)
    assert sha256_file(tmp_path / "x") == sha256_bytes(content) == hashlib.sha256(content).hexdigest()


def test_write_atomically__a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    write_text(tmp_path / "x.json", "old")

    def half(temporary):
        temporary.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "x.json", half)
    assert (tmp_path / "x.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_write_atomically__the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "x.json"
    write_text(path, "old")

    def look(temporary):
        temporary.write_text("new")
        assert path.read_text() == "old"

    write_atomically(path, look)
    assert path.read_text() == "new"


def test_write_atomically__makes_the_folder_and_a_file_that_others_can_read(tmp_path):
    path = tmp_path / "a" / "b" / "x"
    write_text(path, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_write_text__lone_surrogates_become_a_question_mark_and_the_file_stays_utf_8(tmp_path):
    write_text(tmp_path / "x", "ø\ud800z\n")
    assert read_text(tmp_path / "x", "again") == "ø?z\n"


def test_read_text__says_what_makes_a_missing_file(tmp_path):
    with pytest.raises(CannotTell) as caught:
        read_text(tmp_path / "x", 'run "make data" first')
    assert str(caught.value) == f'{tmp_path / "x"} is missing: run "make data" first'


def test_read_text__takes_a_folder_for_a_missing_file(tmp_path):
    with pytest.raises(CannotTell, match="is missing"):
        read_text(tmp_path, "again")


def test_read_text__names_the_first_byte_that_is_not_utf_8(tmp_path):
    (tmp_path / "x").write_bytes(b"ab\xff")
    with pytest.raises(CannotTell, match="x: byte 2 is not UTF-8: save the file as UTF-8"):
        read_text(tmp_path / "x", "again")


def test_read_text__refuses_what_is_too_large_without_reading_it(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(MAX_TEXT_BYTES + 1)
    with pytest.raises(CannotTell, match="x is larger than 64 MiB: again"):
        read_text(tmp_path / "x", "again")


def test_jsonl__reads_back_what_was_written_in_its_order(tmp_path):
    rows = [{"b": 1, "a": "ø\u2028\n"}, {}, {"a": [None, 2.5]}]
    write_jsonl(tmp_path / "x", rows)
    assert list(read_jsonl(tmp_path / "x", "again")) == rows
    assert (tmp_path / "x").read_text(encoding="utf-8").startswith('{"b": 1')


def test_jsonl__reads_back_a_lone_surrogate_from_a_file_that_is_utf_8(tmp_path):
    write_jsonl(tmp_path / "x", [{"a": "\ud800"}])
    assert list(read_jsonl(tmp_path / "x", "again")) == [{"a": "\ud800"}]
    (tmp_path / "x").read_text(encoding="utf-8")


def test_write_jsonl__a_row_that_is_no_json_leaves_the_old_file(tmp_path):
    write_jsonl(tmp_path / "x", [{"a": 1}])
    with pytest.raises(TypeError):
        write_jsonl(tmp_path / "x", [{"a": 2}, {"a": object()}])
    assert list(read_jsonl(tmp_path / "x", "again")) == [{"a": 1}]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("line", [b"{", b"[1]", b"3", b"\xff\xfe", b"", b"nul", b"[" * 100_000])
def test_read_jsonl__names_file_and_line_of_what_is_no_object(tmp_path, line):
    (tmp_path / "x").write_bytes(b'{"a": 1}\n' + line + b"\n")
    with pytest.raises(CannotTell, match=r"x, line 2: not a JSON object.*: again"):
        list(read_jsonl(tmp_path / "x", "again"))


def test_read_jsonl__says_what_makes_a_missing_file(tmp_path):
    with pytest.raises(CannotTell, match='x is missing: run "make data" first'):
        list(read_jsonl(tmp_path / "x", 'run "make data" first'))
