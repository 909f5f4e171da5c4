"""A suite of expectations: what it lets through, what it refuses and how it says so."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.project import EXAMPLE

from textgate.data.expectations import load_suite, validate
from textgate.errors import CannotTell, Refused

SUITE = EXAMPLE / "expectations.yaml"
VALUES = {"labels": ["x", "y"], "splits": ["test", "train", "valid"], "min_characters": 3, "max_characters": 50}
ROWS = [
    (f"text {number}", "xy"[number % 2], "g", ("train", "valid", "test")[number % 3], f"row {number}")
    for number in range(9)
]


def suite(folder: Path, text: str) -> Path:
    path = folder / "expectations.yaml"
    path.write_text(text)
    return path


def refusal(rows: list[tuple[str, str, str, str, str]], path: Path, folder: Path) -> str:
    with pytest.raises(Refused) as caught:
        validate(rows, path, VALUES, folder / "docs")
    message = str(caught.value).replace(f"{folder}/", "")
    assert "\n" not in message
    return message


def test_validate__the_suite_passes_good_rows_and_leaves_pages(tmp_path: Path) -> None:
    assert validate(ROWS, SUITE, VALUES, tmp_path / "docs") == len(load_suite(SUITE))
    assert (tmp_path / "docs" / "index.html").is_file()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("text 1", "x", "g", "train", "row 9"), "expect_column_values_to_be_unique on text"),
        (("ab", "x", "g", "train", "row 9"), "expect_column_value_lengths_to_be_between on text"),
        (("new text", "z", "g", "train", "row 9"), "expect_column_values_to_be_in_set on label"),
        (("new text", "x", "g", "elsewhere", "row 9"), "expect_column_distinct_values_to_equal_set on split"),
        (("bl\ufffd text", "x", "g", "train", "row 9"), "expect_column_values_to_not_match_regex on text"),
        (("bl\u00c3\u00a5 text", "x", "g", "train", "row 9"), "expect_column_values_to_not_match_regex on text"),
    ],
)
def test_validate__the_suite_refuses_each_kind_of_bad_row(
    row: tuple[str, str, str, str, str], expected: str, tmp_path: Path
) -> None:
    message = refusal([*ROWS, row], SUITE, tmp_path)
    assert message.startswith(expected)
    assert message.endswith("(all results: docs/index.html)")


ONLY_X = "- {type: expect_column_values_to_be_in_set, kwargs: {column: label, value_set: [x]}, reason: only x here}\n"


def test_refusal__names_expectation_reason_and_three_rows(tmp_path: Path) -> None:
    assert refusal(ROWS, suite(tmp_path, ONLY_X), tmp_path) == (
        "expect_column_values_to_be_in_set on label (only x here): 4 of 9 rows break it, such as row 1: 'y'; row 3: 'y'"
        "; row 5: 'y': mend the rows, or expectations.yaml (all results: docs/index.html)"
    )


def test_refusal__of_the_whole_table_says_what_was_found(tmp_path: Path) -> None:
    path = suite(tmp_path, "- {type: expect_table_row_count_to_be_between, kwargs: {min_value: 10}, reason: too few}\n")
    assert refusal(ROWS, path, tmp_path).startswith("expect_table_row_count_to_be_between (too few): found 9: mend")


def test_refusal__same_expectation_twice_is_judged_twice(tmp_path: Path) -> None:
    path = suite(tmp_path, ONLY_X + ONLY_X.replace("[x]", "[y]").replace("only x", "only y"))
    message = refusal(ROWS, path, tmp_path)
    assert message.index("(only x here): 4 of 9") < message.index("(only y here): 5 of 9")


LIVE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
ALL_COLUMNS = "".join(
    f"- {{type: {kind}, kwargs: {{column: {column}, {arguments}}}, reason: no tags}}\n"
    for column in ("text", "label", "group", "split")
    for kind, arguments in (
        ("expect_column_values_to_not_match_regex", "regex: '<'"),
        ("expect_column_value_lengths_to_be_between", "max_value: 20"),
        ("expect_column_distinct_values_to_be_in_set", "value_set: [x]"),
        ("expect_column_most_common_value_to_be_in_set", "value_set: [x]"),
    )
)


class Elements(HTMLParser):
    """What a browser would run (scripts, and attributes such as onerror), and what it would show."""

    def __init__(self, page: str) -> None:
        """Read a whole page."""
        super().__init__()
        self.tag, self.run, self.shown = "", "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what attributes run."""
        self.tag = tag
        self.run += "".join(value or "" for name, value in attrs if name.startswith("on"))

    def handle_data(self, data: str) -> None:
        """Keep what an element holds."""
        if self.tag == "script":
            self.run += data
        else:
            self.shown += data

    def handle_endtag(self, tag: str) -> None:
        """Leave a script."""
        self.tag = "" if tag == "script" else self.tag


@pytest.mark.parametrize("every_column", [False, True])
def test_pages__show_rows_that_break_an_expectation_as_text_only(every_column: bool, tmp_path: Path) -> None:
    live = (LIVE, LIVE, LIVE, LIVE, LIVE)
    path = suite(tmp_path, ALL_COLUMNS) if every_column else SUITE
    message = refusal([live, live, *ROWS], path, tmp_path)
    assert LIVE in message  # the terminal runs nothing: there the text stays as it is
    pages = [(page, Elements(page.read_text())) for page in (tmp_path / "docs").rglob("*.html")]
    assert len(pages) == 3
    for _, page in pages:
        assert "alert(" not in page.run
    assert [path.name for path, page in pages if LIVE in page.shown] == ["rows-rows.html"]


def test_pages__that_show_rows_run_no_script_at_all(tmp_path: Path) -> None:
    validate(ROWS, SUITE, VALUES, tmp_path / "docs")
    (page,) = (tmp_path / "docs" / "validations").rglob("*.html")
    head = page.read_text().partition("<head>")[2]
    assert head.startswith("""<meta http-equiv="Content-Security-Policy" content="script-src 'none'; """)


def test_validate__judges_the_text_and_not_what_pages_show_of_it(tmp_path: Path) -> None:
    five = "- {type: expect_column_value_lengths_to_equal, kwargs: {column: text, value: 5}, reason: five characters}\n"
    assert validate([("a <&>", "x", "g", "train", "row 1")], suite(tmp_path, five), VALUES, tmp_path / "docs") == 1


def unusable(folder: Path, text: str, values: dict[str, Any] = VALUES) -> str:
    with pytest.raises(CannotTell) as caught:
        validate(ROWS, suite(folder, text), values, folder / "docs")
    message = str(caught.value).replace(f"{folder}/", "")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expectations.yaml: expected a list of expectations, each with type, kwargs and reason"),
        ("type: x", "expectations.yaml: expected a list of expectations, each with type, kwargs and reason"),
        ("- [", "expectations.yaml: not valid YAML: while parsing"),
        ("- {type: expect_x, kwargs: {}}", "expectations.yaml: expectation 1: reason: Field required"),
        (
            "- {type: expect_x, kwargs: {}, reason: a, extra: b}",
            "expectations.yaml: expectation 1: extra: Extra inputs",
        ),
        ("- {type: __import__, kwargs: {}, reason: a}", "expectations.yaml: expectation 1: type: String should match"),
        (
            "- {type: expect_luck, kwargs: {}, reason: a}",
            "expectations.yaml: expectation 1: Great Expectations knows no",
        ),
        (
            "- {type: expect_column_values_to_not_be_null, kwargs: {colour: red}, reason: a}",
            "expectations.yaml: expectation 1 (expect_column_values_to_not_be_null): ",
        ),
        (
            "- {type: expect_column_values_to_not_be_null, kwargs: {column: colour}, reason: a}",
            'expectations.yaml: expect_column_values_to_not_be_null cannot be evaluated: Error: The column "colour" in',
        ),
        (
            ONLY_X.replace("[x]", "{$PARAMETER: lables}"),
            "expectations.yaml: No value found for $PARAMETER lables (known: labels, splits, min_characters, max_char",
        ),
    ],
)
def test_unusable_suite__is_named_by_entry_and_key(text: str, message: str, tmp_path: Path) -> None:
    assert unusable(tmp_path, text).startswith(message)


def test_missing_suite__is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotTell, match=r"none\.yaml is missing: restore it with git, or mend `expectations`"):
        validate(ROWS, tmp_path / "none.yaml", VALUES, tmp_path / "docs")
