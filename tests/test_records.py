"""Evidence is read back through its type, or not at all."""

import pytest
from pydantic import FiniteFloat, ValidationError

from textgate import records
from textgate.errors import CannotTell
from textgate.records import Count, Evidence, Record, Sha256, Share


class Inner(Record):
    """A part."""

    share: Share


class Example(Evidence):
    """A whole file."""

    name: str
    rows: Count
    inner: Inner
    digest: Sha256
    seconds: FiniteFloat
    labels: tuple[str, ...] = ()


GOOD = Example(name="ø", rows=3, inner=Inner(share=0.5), digest="a" * 64, seconds=0.1, labels=("a", "b"))


def test_write__is_read_back_equal(tmp_path):
    records.write(tmp_path / "x.json", GOOD)
    assert records.read(tmp_path / "x.json", Example, "data") == GOOD


def test_write__the_same_evidence_is_the_same_bytes(tmp_path):
    records.write(tmp_path / "x.json", GOOD)
    first = (tmp_path / "x.json").read_bytes()
    records.write(tmp_path / "x.json", GOOD)
    assert (tmp_path / "x.json").read_bytes() == first
    assert first.endswith(b"\n")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"rows": 3', '"rows": -1', "rows: Input should be greater than or equal to 0"),
        ('"rows": 3', '"rows": "3"', "rows: Input should be a valid integer"),
        ('"rows": 3', '"rows": 3, "more": 1', "more: Extra inputs are not permitted"),
        ('"rows": 3,', "", "rows: Field required"),
        ('"share": 0.5', '"share": 1.5', "inner.share: Input should be less than or equal to 1"),
        ('"share": 0.5', '"share": NaN', "inner.share: Input should be a finite number"),
        ('"seconds": 0.1', '"seconds": 1e999', "seconds: Input should be a finite number"),
        ('"seconds": 0.1', '"seconds": null', "seconds: Input should be a valid number"),
        ('"schema_version": 1', '"schema_version": 2', "schema_version: Input should be 1"),
        ("a" * 64, "A" * 64, "digest: String should match pattern"),
        ("{", "", "the file: Invalid JSON"),
    ],
)
def test_read__names_file_place_and_the_command_that_makes_it_again(tmp_path, old, new, problem):
    path = tmp_path / "x.json"
    records.write(path, GOOD)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CannotTell) as caught:
        records.read(path, Example, "data")
    assert str(caught.value).startswith(f"{path}: {problem}")
    assert str(caught.value).endswith('run "make data" again')


def test_read__says_which_stage_makes_a_missing_file(tmp_path):
    with pytest.raises(CannotTell, match=r'x\.json is missing: run "make data" first'):
        records.read(tmp_path / "x.json", Example, "data")


def test_record__cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        GOOD.rows = 4


def test_exit_codes__only_passed_is_zero():
    assert records.EXIT_CODES == {"passed": 0, "refused": 1, "unknown": 2}
