"""report.html in a real browser: phone and desktop, light and dark, plain and hostile evidence."""

import json
from pathlib import Path

import pytest
from tests.browser import CONTRAST, DESKTOP, PHONE, open_page, start_browser
from tests.evidence_examples import example
from tests.test_page import EVIL
from tests.test_report import hostile

from textgate.report.document import Code, Paragraph, Section, Table
from textgate.report.page import to_html
from textgate.report.report import compose

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    many = example([f"a rather long label {number}" for number in range(40)], rows=3000)
    found = {"plain": example(outcome="refused"), "hostile": hostile(example(), [*EVIL, "w" * 500]), "many": many}
    folder = tmp_path_factory.mktemp("pages")
    for name, evidence in found.items():
        (folder / f"{name}.html").write_text(to_html(compose(evidence), "textgate report"), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in found}


def visit(browser, page: Path, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> None:
    open_page(browser, page.as_uri(), size, scheme)


NAMES = ("plain", "hostile", "many")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [PHONE, (600, 800), DESKTOP])
def test_page__never_scrolls_sideways(browser, pages, name, size):
    visit(browser, pages[name], size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    assert browser.execute_script("return document.documentElement.clientWidth") > size[0] - 20


@pytest.mark.parametrize("name", NAMES)
def test_page__has_no_console_message_and_asks_for_nothing_but_itself(browser, pages, name):
    visit(browser, pages[name])
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked == [pages[name].as_uri()]


def test_page__runs_nothing_that_evidence_brings_along(browser, pages):
    visit(browser, pages["hostile"])
    assert browser.execute_script("return document.scripts.length + document.images.length") == 0
    assert browser.title == "textgate report"
    style = "return getComputedStyle(document.querySelector('main')).maxWidth"
    assert browser.execute_script(style) == "1216px"  # the policy let its own style sheet through


@pytest.mark.parametrize("name", NAMES)
def test_page__has_headings_and_a_name_for_every_picture(browser, pages, name):
    visit(browser, pages[name])
    levels = browser.execute_script("return [...document.querySelectorAll('h1,h2,h3,h4')].map(e => e.localName)")
    assert levels[0] == "h1"
    assert set(levels[1:]) == {"h2"}
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    pictures = [node for node in tree if node.get("role", {}).get("value") in ("image", "img")]
    assert len(pictures) == 4
    assert all(len(node["name"]["value"]) > 20 for node in pictures)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_page__text_stands_out_from_what_is_behind_it(browser, pages, name, scheme):
    visit(browser, pages[name], PHONE, scheme)
    worst = browser.execute_script(CONTRAST)
    assert worst[0][0] >= 4.5, worst  # WCAG 2.2, level AA


def test_page__on_a_phone_each_figure_of_the_table_stands_beside_its_name(browser, pages):
    visit(browser, pages["plain"], PHONE)
    script = (
        "return [...document.querySelectorAll('.stacked tr')].find(r => r.innerText.startsWith('accuracy')).innerText"
    )
    shown = " ".join(browser.execute_script(script).split())
    assert shown.startswith("accuracy this model 0.958 production v1.3.0 0.963 baseline 0.972 change to production")
    assert shown.endswith("verdict passed")


def test_page__a_wide_matrix_scrolls_in_its_own_box(browser, tmp_path):
    head = ("true", *(Code(f"label number {number}") for number in range(12)))
    matrix = Table("Confusion", head, "l" + "r" * 12, (("x", *("1,000" for _ in range(12))),), matrix=True)
    page = tmp_path / "matrix.html"
    page.write_text(to_html((Section("S", (Paragraph("p"), matrix)),), "t"), encoding="utf-8")
    visit(browser, page, PHONE)
    box = "const b = document.querySelector('.scroll'); return [b.scrollWidth > b.clientWidth, b.tabIndex]"
    assert browser.execute_script(box) == [True, 0]
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
