"""YAML is read as data, one value a key; what is no YAML is said with its line."""

import pytest

from textgate.errors import CannotTell
from textgate.yaml_file import read_yaml


def read(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    return read_yaml(tmp_path / "x.yaml", "restore it with git")


def test_read_yaml__gives_plain_values(tmp_path):
    assert read(tmp_path, "a: {b: [1, 2.5, null]}\nc: ø\n") == {"a": {"b": [1, 2.5, None]}, "c": "ø"}
    assert read(tmp_path, "") is None


def test_read_yaml__the_same_key_may_stand_in_two_places(tmp_path):
    assert read(tmp_path, "a: {x: 1}\nb: {x: 2}\n") == {"a": {"x": 1}, "b": {"x": 2}}


def test_read_yaml__a_merged_key_may_be_given_anew(tmp_path):
    assert read(tmp_path, "a: &a {x: 1, y: 1}\nb: {<<: *a, x: 2}\n")["b"] == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x: 1\ny: 2\nx: 3\n", "x stands there twice line 3, column 1"),
        ("a:\n  - {b: 1, b: 1}\n", "b stands there twice line 2, column 12"),
        ("a: b: c", "mapping values are not allowed here line 1, column 5"),
        ("a: *b", "found undefined alias 'b'"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("{[1]: 2}", "while constructing a mapping"),
        ("!!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("a: \x07", "unacceptable character #x0007"),
        ("{" * 3000, "maximum recursion depth exceeded"),
    ],
)
def test_read_yaml__says_what_is_no_yaml(tmp_path, text, problem):
    with pytest.raises(CannotTell) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'x.yaml'}: not valid YAML: {problem}")
    assert "\n" not in str(caught.value)


def test_read_yaml__says_what_to_do_about_a_missing_file(tmp_path):
    with pytest.raises(CannotTell, match=r"x\.yaml is missing: restore it with git"):
        read_yaml(tmp_path / "x.yaml", "restore it with git")
