"""The service's web page in a real browser, in front of the real service."""

import json
import re
from functools import partial

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from tests.browser import CONTRAST, DESKTOP, PHONE, open_page, start_browser
from tests.serve_process import START_SECONDS, ServeProcess, small_bundle
from tests.small import LABELS, TFIDF, seal_small, small_rows

from textgate.bundle import digest
from textgate.serve.access.manage import make, set_password

pytestmark = pytest.mark.browser
TEXT = "the old pine near a house with many camel"
EVIL = "<img src=x onerror=alert(1)> </ol><script>alert(2)</script> &lt;b&gt; \u202eabc ${7*7} pine"
EVIL_LABELS = ("<img src=x onerror=alert(3)>", '"><script>alert(4)</script> ' + "w" * 60)
EVIL_CARD = """---
license: "<script>alert(5)</script>"
---

# A card <img src=x onerror=alert(6)>

<script>alert(7)</script>

[web](https://example.org/) [run](javascript:alert(8)) [data](data:text/html,x) ![picture](https://evil.example/x.png)
<https://example.org/plain> [local](file:///etc/passwd)

| figure | value |
|---|---:|
| `a_rather_long_name_of_a_figure_that_needs_a_lot_of_room_for_itself` | 1,000,000,000,000,000,000,000,000 |
"""
# Bars and the edges of fields, which are no text, and what they stand on.
EDGES = """const style = (q, n) => getComputedStyle(document.querySelector(q))[n];
const page = style('body', 'backgroundColor');
return [[style('.track span', 'backgroundColor'), style('.track', 'backgroundColor')],
  [style('textarea', 'borderTopColor'), page], [style('select', 'borderTopColor'), page],
  [style('.for', 'borderBottomColor'), page], [style('.against', 'borderBottomColor'), page]]"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    with ServeProcess(folder, small_bundle(folder / "bundle"), explain={"characters": 200}) as service:
        yield service


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return a service behind API keys, with labels and a card by somebody bad, and a key; its challenger answers."""
    from textgate.models.tfidf import TfidfClassifier

    folder = tmp_path_factory.mktemp("hostile")
    for name, seed in (("champion", 1), ("challenger", 2)):
        (folder / name).mkdir()
        fitted = TfidfClassifier.fit(*small_rows(60, seed), small_rows(20, seed=2), EVIL_LABELS, TFIDF, 1)
        fitted.save(folder / name)
        seal_small(folder / name, labels=EVIL_LABELS)
        (folder / name / "README.md").write_text(EVIL_CARD)
    key = make(folder / "keys.json", "ada", ("predict", "explain"), 1)
    access = {"clients": {"kind": "keys", "file": str(folder / "keys.json")}, "explain": "explain"}
    split = {"kind": "split", "share": 1, "by": "client"}
    models = {"challenger": str(folder / "challenger")}
    with ServeProcess(folder, folder / "champion", access=access, split=split, models=models) as service:
        yield service, key


def at(browser, name):
    return browser.find_element(By.ID, name)


def wait(browser, condition):
    return WebDriverWait(browser, START_SECONDS, poll_frequency=0.02).until(lambda _: condition())


def shown(browser, name, text):
    """Wait until an element shows a text."""
    wait(browser, lambda: text in at(browser, name).text)


def enter(browser, text):
    """Put a text where one is typed, at once."""
    script = "const t = document.getElementById('text'); t.value = arguments[0]; t.dispatchEvent(new Event('input'))"
    browser.execute_script(script, text)


def explained(browser):
    at(browser, "explain").click()
    wait(browser, at(browser, "explanation").is_displayed)
    return [item.text.split("\n") for item in browser.find_elements(By.CSS_SELECTOR, "#words li")]


def quiet(browser, url):
    """Check that nothing was complained about, and that nobody but the service was asked for anything."""
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked
    assert [address for address in asked if not address.startswith(url + "/")] == []


def test_page__what_is_typed_is_answered_and_explained(browser, plain):
    open_page(browser, plain.url + "/")
    shown(browser, "model", "Model unreleased")
    at(browser, "text").send_keys(TEXT)
    said = plain.predict(TEXT)[1]
    label, probabilities = said["predictions"][0]["label"], said["predictions"][0]["probabilities"]
    shown(browser, "label", f"{label} with {100 * probabilities[label]:.1f} %")  # if keys come slowly, others before
    bars = [item.text.split("\n") for item in browser.find_elements(By.CSS_SELECTOR, "#bars li")]
    assert bars == [
        [name, f"{100 * probabilities[name]:.1f} %"] for name in sorted(LABELS, key=lambda n: -probabilities[n])
    ]
    widths = browser.execute_script("return [...document.querySelectorAll('.track span')].map(e => e.style.width)")
    assert [float(width[:-1]) for width in widths] == pytest.approx(
        sorted((100 * p for p in probabilities.values()), reverse=True), abs=0.01
    )
    assert said["model_digest"] in at(browser, "model").get_attribute("title")

    words = explained(browser)
    parts = json.loads(plain.post("/explain", {"text": TEXT})[2])["parts"]
    for (word, points), part in zip(words, parts, strict=True):
        assert word == part["text"]
        assert float(points.replace("−", "-")) == pytest.approx(100 * part["contribution"][label], abs=0.051)
    assert browser.find_elements(By.CSS_SELECTOR, "#words .for")
    assert at(browser, "how").text == "Exact, from 512 answers."
    other = next(name for name in LABELS if name != label)
    Select(at(browser, "about")).select_by_visible_text(other)
    turned = [item.text.split("\n")[1] for item in browser.find_elements(By.CSS_SELECTOR, "#words li")]
    assert turned == [points.translate(str.maketrans("+−", "−+")) for _, points in words]
    quiet(browser, plain.url)


def test_page__another_text_takes_the_explanation_of_the_old_one_away(browser, plain):
    open_page(browser, plain.url + "/")
    enter(browser, TEXT)
    shown(browser, "label", " with ")
    explained(browser)
    at(browser, "text").send_keys(" elk")
    assert not at(browser, "explanation").is_displayed()
    enter(browser, "  ")
    wait(browser, lambda: not at(browser, "answer").is_displayed())
    assert not at(browser, "why").is_displayed()


def test_page__says_so_if_another_model_was_put_in_place_since_the_answer(browser, tmp_path):
    old, new, link = small_bundle(tmp_path / "old", 1), small_bundle(tmp_path / "new", 2), tmp_path / "champion"
    link.symlink_to(old)
    with ServeProcess(tmp_path / "run", link, models={"check_seconds": 0.1}) as service:
        open_page(browser, service.url + "/")
        enter(browser, TEXT)
        shown(browser, "label", " with ")
        (tmp_path / "next").symlink_to(new)
        (tmp_path / "next").replace(link)
        wait(browser, lambda: digest(new) in service.get("/version")[2].decode())
        explained(browser)
        assert "Another model than the one above is explained." in at(browser, "how").text


def test_page__problems_are_sentences_and_go_away(browser, plain):
    open_page(browser, plain.url + "/")
    enter(browser, "pine " * 50)
    shown(browser, "label", " with ")
    at(browser, "explain").click()
    shown(browser, "problem", "text: String should have at most 200 characters")
    enter(browser, "x" * 10_001)
    shown(browser, "problem", "text: String should have at most 10000 characters")
    assert not at(browser, "answer").is_displayed()
    enter(browser, "pine")
    shown(browser, "label", " with ")
    assert at(browser, "problem").text == ""


def test_page__hostile_text_and_labels_are_shown_and_never_run(browser, hostile):
    service, key = hostile
    open_page(browser, service.url + "/", PHONE)
    at(browser, "key").send_keys(key)
    enter(browser, EVIL)
    shown(browser, "label", " with ")
    explained(browser)
    words = "return [...document.querySelectorAll('#words bdi')].map(e => e.textContent)"
    assert browser.execute_script(words) == EVIL.split()
    assert "Another model" not in at(browser, "how").text  # the challenger answered, and it is explained
    assert sorted(option.text for option in Select(at(browser, "about")).options) == sorted(EVIL_LABELS)
    made = "return document.querySelectorAll('img, main script, #words b, iframe').length + document.scripts.length"
    assert browser.execute_script(made) == 1  # its own script
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    quiet(browser, service.url)


def test_page__a_key_is_asked_for_kept_in_memory_alone_and_sent_nowhere_else(browser, hostile):
    service, key = hostile
    open_page(browser, service.url + "/")
    assert at(browser, "key").is_displayed()
    enter(browser, "pine")
    shown(browser, "problem", "The service asks for a valid key or token.")
    at(browser, "key").send_keys("wrong")
    shown(browser, "problem", "The service asks for a valid key or token.")
    at(browser, "key").clear()
    at(browser, "key").send_keys(key)
    shown(browser, "label", " with ")
    kept = "return [localStorage.length, sessionStorage.length, document.cookie, location.href]"
    assert browser.execute_script(kept) == [0, 0, "", service.url + "/"]
    assert browser.execute_script("return document.getElementById('key').type") == "password"
    browser.refresh()
    assert at(browser, "key").get_attribute("value") == ""
    assert key not in service.text()


def test_page__the_demo_signs_in_with_a_password_and_says_what_it_cannot_do(browser, tmp_path):
    set_password(tmp_path / "users.json", "ada", "correct horse battery", ("predict",))
    clients = {
        "kind": "demo",
        "file": str(tmp_path / "users.json"),
        "token_minutes": 5,
        "tries": {"per_second": 10, "burst": 10, "clients": 10},
    }
    access = {"clients": clients, "explain": "closed"}
    with ServeProcess(tmp_path, small_bundle(tmp_path / "bundle"), access=access) as service:
        open_page(browser, service.url + "/")
        enter(browser, "pine")
        shown(browser, "problem", "Sign in to ask the model.")
        at(browser, "user").send_keys("ada")
        at(browser, "password").send_keys("wrong horse battery", Keys.ENTER)
        shown(browser, "problem", "This user name and password are not known here.")
        at(browser, "password").clear()
        at(browser, "password").send_keys("correct horse battery", Keys.ENTER)
        shown(browser, "label", " with ")
        assert at(browser, "problem").text == ""
        assert not at(browser, "why").is_displayed()
        assert at(browser, "password").get_attribute("value") == ""
        service.kill()
        enter(browser, "camel")
        shown(browser, "problem", "The service cannot be reached. Is it running?")


def test_page__is_readable_on_any_screen_by_day_and_by_night(browser, plain):
    for size, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
        open_page(browser, plain.url + "/", size, scheme)
        enter(browser, TEXT + " " + "w" * 100)
        shown(browser, "label", " with ")
        explained(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
        worst = browser.execute_script(CONTRAST)
        assert worst[0][0] >= 4.5, worst  # WCAG 2.2, level AA
        assert all(_ratio(*pair) >= 3 for pair in browser.execute_script(EDGES))


def _ratio(*colours):
    def light(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(light, colours))
    return (high + 0.05) / (low + 0.05)


def test_page__everything_is_reached_and_done_by_keyboard_in_the_order_of_reading(browser, plain):
    open_page(browser, plain.url + "/")
    focused = partial(browser.execute_script, "return document.activeElement.id || document.activeElement.textContent")

    def press(*keys):
        browser.switch_to.active_element.send_keys(*keys)

    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert focused() == "Model card"
    press(Keys.TAB)
    assert focused() == "text"
    press(TEXT)
    shown(browser, "label", " with ")
    press(Keys.TAB)
    assert focused() == "explain"
    assert browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(Keys.ENTER)
    wait(browser, at(browser, "explanation").is_displayed)
    assert focused() == "explain"  # the focus is not lost while the work is done
    press(Keys.TAB)
    assert focused() == "about"
    before = at(browser, "sum").text
    press(Keys.DOWN, Keys.UP, Keys.DOWN)
    wait(browser, lambda: at(browser, "sum").text != before)


def test_page__a_screen_reader_hears_names_answers_and_signs(browser, plain):
    open_page(browser, plain.url + "/")
    enter(browser, TEXT)
    shown(browser, "label", " with ")
    explained(browser)
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    heard = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
    for expected in (
        ("textbox", "Text"), ("button", "Explain this answer"), ("combobox", "For the label"), ("link", "Model card"),
        ("list", "Probability of each label"), ("list", "Words and what each adds to the probability"),
        ("heading", "Try the model"), ("heading", "Answer"), ("heading", "Which words?"), ("main", ""),
    ):  # fmt: skip
        assert expected in heard
    assert sum(role == "status" for role, _ in heard) == 2  # told when they change: the answer, and the explanation
    assert "alert" in {role for role, _ in heard}
    assert all(name for role, name in heard if role in ("textbox", "button", "combobox", "link"))
    texts = {name for role, name in heard if role == "StaticText"}
    assert set(TEXT.split()) <= texts
    assert len([text for text in texts if re.fullmatch(r"[+−]\d+\.\d", text)]) >= 5


def test_model_card__is_shown_and_cannot_run_or_load_anything(browser, hostile):
    service, _ = hostile
    for size in (PHONE, DESKTOP):
        open_page(browser, service.url + "/model-card", size, "dark")
        text = browser.find_element(By.TAG_NAME, "main").text
        assert "A card <img src=x onerror=alert(6)>" in text
        assert "<script>alert(7)</script>" in text
        assert "alert(5)" not in text  # front matter
        links = [link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, "main a")]
        assert links == [
            service.url + "/",
            "https://example.org/",
            "https://evil.example/x.png",
            "https://example.org/plain",
        ]
        assert browser.execute_script("return document.scripts.length + document.images.length") == 0
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
        assert (
            browser.execute_script("return getComputedStyle(document.querySelector('td:last-child')).textAlign")
            == "right"
        )
        assert browser.execute_script(CONTRAST)[0][0] >= 4.5
        quiet(browser, service.url)
