"""report.html: one file, no script, nothing from outside, and foreign text is only ever text."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from tests.evidence_examples import example
from tests.test_report import hostile

from textgate.report.document import Code, Heading, Paragraph, Section, Strong, Table
from textgate.report.found import Found
from textgate.report.page import MOST_LINES, to_html
from textgate.report.pictures import confusion_map, validation_curve
from textgate.report.report import compose

EVIL = [
    '"><script>alert(1)</script>',
    "<img src=x onerror=alert(1)>",
    "</title></style>",
    "&quot; onload='",
    "\u202e\x00",
]
TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "main", "section", "div", "span", "h1", "h2", "p"),
    *("ul", "li", "code", "em", "strong", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "bdi"),
    *("svg", "rect", "text", "line", "path", "polyline", "circle"),
}


def elements(shown: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return tags and attributes as a parser sees them."""
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.feed(shown)
    return found


def page(found: Found) -> str:
    return to_html(compose(found), "textgate report")


@pytest.mark.parametrize("found", [example(), hostile(example(), EVIL), Found()], ids=["plain", "hostile", "empty"])
def test_to_html__holds_known_elements_without_scripts_styles_or_addresses(found):
    for tag, attributes in elements(page(found)):
        assert tag in TAGS
        assert not {"src", "style", "srcset", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert tag == "link" or "href" not in attributes


def test_to_html__has_a_policy_that_allows_its_own_style_and_nothing_else():
    shown = page(example())
    style = re.search(r"<style>(.*?)</style>", shown, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(a["content"] for tag, a in elements(shown) if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_to_html__has_one_title_headings_in_order_and_a_name_for_each_picture_and_table():
    found = elements(page(example()))
    assert [tag for tag, _ in found if tag in ("h1", "h2", "h3")][:2] == ["h1", "h2"]
    assert sum(tag == "h1" for tag, _ in found) == 1
    pictures = [attributes for tag, attributes in found if tag == "svg"]
    assert [(picture["aria-label"] or "").split(" ")[0] for picture in pictures] == [
        "Change", "Confusion:", "Reliability", "Macro-F1",
    ]  # fmt: skip
    assert all(picture["role"] == "img" for picture in pictures)
    assert all(attributes["aria-label"] for tag, attributes in found if tag == "div")


def test_to_html__shows_foreign_text_as_it_is_but_nothing_hidden():
    shown = to_html(
        (Paragraph((Code("<b>\u202ea\u200b"), Strong("x"), "&")), Section("S", (Heading("<i>", 1),))), "<t>"
    )
    assert '<code dir="auto">&lt;b&gt;⟨U+202E⟩a⟨U+200B⟩</code> <strong>x</strong> &amp;' in shown
    assert "<h1>&lt;i&gt;</h1>" in shown
    assert "<title>&lt;t&gt;</title>" in shown


def test_to_html__isolates_words_that_run_from_right_to_left():
    assert "<p>F1 <bdi>שלום</bdi> fell by 0.041</p>" in to_html((Paragraph("F1 שלום fell by 0.041"),), "t")


def test_to_html__counts_the_rows_that_a_browser_is_spared():
    rows = tuple((str(number),) for number in range(MOST_LINES + 312))
    shown = to_html((Table("T", ("n",), "r", rows),), "t")
    assert shown.count("<tr>") == MOST_LINES + 1
    assert "… and 312 more" in shown


def test_confusion_map__shows_the_labels_with_most_mistakes():
    labels = [f"l{number}" for number in range(30)]
    counts = {label: {label: 100} for label in labels} | {"l7": {"l7": 100, "l8": 50}, "l29": {"l29": 100, "l7": 3}}
    shown = confusion_map(labels, labels, counts).svg
    assert shown.count("<rect") == 400
    assert ">l7</text>" in shown
    assert ">l29</text>" in shown
    assert "98.3 % of 3,053 test rows lie on the diagonal. Shown are the 20 of 30 labels with most mistakes." in shown


def test_confusion_map__has_a_column_for_a_predicted_label_that_no_row_has():
    shown = confusion_map(["a", "b"], ["a", "b", "other"], {"a": {"a": 5}, "b": {"other": 2}}).svg
    assert shown.count("<rect") == 6
    assert ">other</text>" in shown


def test_validation_curve__takes_a_single_epoch():
    train = example().train
    assert train is not None
    shown = validation_curve(train.epochs[:1]).svg
    assert shown.count("<circle") == 1
    assert "nan" not in shown
