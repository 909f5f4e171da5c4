"""Chromium for the tests of pages, and what they measure in it."""

import shutil

import pytest
from selenium import webdriver

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
PHONE, DESKTOP = (360, 740), (1280, 900)
# The three lowest contrasts of text with what is behind it, layers of part transparency laid over each other.
CONTRAST = """
const channel = v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 };
const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
const parse = s => { const n = s.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1] };
const over = (top, under) => [...[0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])), 1];
const behind = e => e ? over(parse(getComputedStyle(e).backgroundColor), behind(e.parentElement)) : [255, 255, 255, 1];
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05) };
const found = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  if (!own || e.localName === 'title' || !e.getClientRects().length) continue;
  const style = getComputedStyle(e), svg = e.namespaceURI.endsWith('svg');
  let under = behind(e);
  const cell = svg && e.getAttribute('class') && e.previousElementSibling;
  if (cell && cell.localName === 'rect') {
    const fill = parse(getComputedStyle(cell).fill);
    under = over([...fill.slice(0, 3), Number(cell.getAttribute('fill-opacity'))], under);
  }
  found.push([ratio(parse(svg ? style.fill : style.color), under), e.outerHTML.slice(0, 120)]);
}
return found.sort((a, b) => a[0] - b[0]).slice(0, 3);
"""


def start_browser(profile):
    """Start Chromium with an empty profile in a folder. Fails where there is none: a skipped test reads as a pass."""
    chrome = shutil.which("chromium") or shutil.which("google-chrome")  # Debian's, or that of GitHub's runners
    found = {"chromium": chrome, "chromedriver": shutil.which("chromedriver")}
    if missing := [name for name, path in found.items() if path is None]:
        pytest.fail(f"{' and '.join(missing)} not found: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.binary_location = chrome or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(found["chromedriver"]))


def open_page(browser, address, size=DESKTOP, scheme="light"):
    """Open an address on a screen of some size, with empty logs: what was open before asks for nothing any more."""
    browser.get("about:blank")
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(address)
