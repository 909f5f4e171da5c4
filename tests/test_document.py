"""Blocks into Markdown: escaped once, and never longer than a comment may be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgate.report.document import (
    Bullets,
    Chart,
    Code,
    Heading,
    Paragraph,
    Picture,
    RunLink,
    Section,
    Strong,
    Table,
    to_markdown,
)


def table(rows: int, width: int = 10) -> Table:
    return Table("T", ("name", "n"), "lr", tuple((Code("x" * width), str(n)) for n in range(rows)))


def test_to_markdown__writes_every_block():
    blocks = (
        Heading(("Verdict:", Code("@da"))),
        Paragraph((Strong("refused"), "because of", Code("a|b"))),
        Bullets(("one", ("two", Code("2")))),
        Table("T", ("label", "n"), "lr", ((Code("da"), "1"),)),
        Section("Chart", (Chart("F1", ("da", 'n"b'), (0.91, 0.95), (0.9, 0.96)),)),
    )
    assert to_markdown(blocks) == (
        "### Verdict: `@da`\n\n**refused** because of `a¦b`\n\n- one\n- two `2`\n\n"
        "| label | n |\n|---|---:|\n| `da` | 1 |\n\n"
        "<details><summary>Chart</summary>\n\n```mermaid\nxychart-beta\n"
        '  title "F1"\n  x-axis ["da", "n b"]\n  y-axis "F1" 0.8 --> 1\n  bar [0.910, 0.950]\n  line [0.900, 0.960]\n'
        "```\n\n</details>\n"
    )


def test_to_markdown__for_a_terminal_has_headings_instead_of_folds_and_no_chart():
    blocks = (Section("Rows", (table(1),)), Section("Chart", (Chart("F1", ("da",), (0.9,), ()),)))
    assert to_markdown(blocks, folded=False).startswith("#### Rows\n\n| name")
    assert "mermaid" not in to_markdown(blocks, folded=False)
    assert "Chart" not in to_markdown(blocks, folded=False)


def test_to_markdown__leaves_out_sections_that_hold_only_pictures():
    assert to_markdown((Section("Curve", (Picture("<svg/>"),)), Bullets(()))) == ""


def test_to_markdown__gives_equal_categories_a_number():
    assert 'x-axis ["a b", "a b 2"]' in to_markdown((Chart("F1", ("a|b", "a`b"), (0.1, 0.2), ()),))


def test_to_markdown__counts_rows_beyond_what_one_table_may_take():
    shown = to_markdown((table(372),))
    assert shown.endswith("| `xxxxxxxxxx` | 59 |\n\n… and 312 more\n")


def test_to_markdown__drops_rows_from_the_bottom_first():
    blocks = (Heading("First"), table(40), Section("Second", (table(40, 40),)))
    shown = to_markdown(blocks, 1500)
    assert len(shown) <= 1500
    first, second = shown.split("<details>")
    assert first.count("\n| `") == 40
    assert 0 < second.count("\n| `") < 40
    assert f"… and {40 - second.count(chr(10) + '| `')} more" in second


def test_to_markdown__keeps_only_the_count_of_a_table_that_lost_all_rows():
    shown = to_markdown((Heading("First"), table(3), Section("Second", (table(40, 40),))), 200)
    assert len(shown) <= 200
    assert "… and 40 more" in shown
    assert shown.count("|---|") == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 90), max_size=8), st.integers(1200, 6000))
def test_to_markdown__never_exceeds_its_limit(sizes, limit):
    blocks = tuple(Section("S", (table(size, size),)) if size % 2 else table(size, 60) for size in sizes)
    assert len(to_markdown(blocks, limit)) <= limit


def test_to_markdown__an_empty_strong_is_no_rule():
    assert to_markdown((Paragraph((Strong(""), "x")),)).strip() == "x"


def test_run_link__leads_to_a_run_and_nowhere_else():
    link = RunLink(("Commit", Code("a|b")), "https://github.example.com:8443", "octo/my.gate", 12)
    assert (
        to_markdown([link]) == "Commit `a¦b` [run 12](https://github.example.com:8443/octo/my.gate/actions/runs/12)\n"
    )


@pytest.mark.parametrize(
    ("server", "repo", "run"),
    [
        ("http://github.com", "octo/gate", 1),
        ("javascript:alert(1)//", "octo/gate", 1),
        ("https://github.com/evil", "octo/gate", 1),
        ("https://octo@github.com", "octo/gate", 1),
        ("https://github.com?", "octo/gate", 1),
        ("https://github.com", "octo/gate/pull", 1),
        ("https://github.com", "../gate", 1),
        ("https://github.com", "octo/..", 1),
        ("https://github.com", "octo", 1),
        ("https://github.com", "octo/gate)[x](http:", 1),
        ("https://github.com", "octo/ga te", 1),
        ("https://github.com", "octo/gate", 0),
        ("https://github.com", "octo/gate", -1),
        ("https://github.com", "octo/gate", "1/../../settings"),
        ("https://github.com", "octo/gate", "1)"),
        ("https://github.com", "octo/gate", "1\n"),
    ],
)
def test_run_link__any_other_address_is_a_defect(server, repo, run):
    with pytest.raises(ValueError, match="no address of a run"):
        RunLink("see", server, repo, run)
