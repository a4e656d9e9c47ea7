"""Lessons, examples, the report, and what axe-core finds, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from analysis.capture.store import save_capture
from tests.e2e.conftest import FIRST_PARTS, WORK, says
from tests.workbench.conftest import make_capture

pytestmark = pytest.mark.browser
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
COUNTED = ("moderate", "serious", "critical")


def findings(page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds, but for minor things, on the page as it stands, by all rules or some."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    drawn = {"exclude": [[".plot .svg-container"]]}  # thousands of paths without words
    found = page.evaluate("given => axe.run(...given)", [drawn, options])["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in found if v["impact"] in COUNTED]


def framed(page, part: str) -> None:
    """Wait until a lesson points at a part of the page."""
    page.wait_for_selector(f"#{part}.wb-look")


def test_a_lesson_drives_the_page_and_gives_it_back(visit):
    page = visit("layer=conv_in&t=480&bits=5")
    page.click(".wb-guide-open")
    page.click("[data-lesson=two-humps]")
    framed(page, "shortcut-table")
    page.click(".wb-next")
    framed(page, "halves")
    says(page, ".wb-guide-text", "8.01 times as wide")
    says(page, "#shortcut-facts h3", "up_blocks.2.resnets.0.conv_shortcut")
    expect(page.get_by_role("tab", name="Shortcuts")).to_have_attribute("aria-selected", "true")
    expect(page).to_have_url(re.compile("tab=shortcuts"))
    assert findings(page) == []
    page.click(".wb-end")
    page.wait_for_function("() => location.search.includes('bits=5')")
    expect(page.locator(".wb-bar select")).to_have_value("conv_in")
    expect(page.get_by_role("tab", name="Explore")).to_have_attribute("aria-selected", "true")


DROP = """content => {
  const files = new DataTransfer();
  files.items.add(new File([Uint8Array.from(content)], 'mine.safetensors'));
  for (const type of ['dragenter', 'dragover', 'drop'])
    document.querySelector('#heatmap').dispatchEvent(
      new DragEvent(type, {dataTransfer: files, bubbles: true, cancelable: true}));
}"""


def test_a_capture_dropped_anywhere_is_opened(visit, tmp_path):
    path = save_capture(make_capture(), tmp_path / "mine.safetensors")
    page = visit()
    page.evaluate(DROP, list(path.read_bytes()))
    says(page, ".wb-capture", "own capture: DDIM, 4 steps, 2 samples")
    expect(page.locator(".wb-drop")).to_be_hidden()


def test_a_lesson_by_keyboard_and_the_glossary_on_a_narrow_screen(visit):
    page = visit(viewport={"width": 390, "height": 844})
    page.focus(".wb-guide-open")
    page.keyboard.press("Enter")
    page.focus("[data-lesson=one-timestep]")
    page.keyboard.press("Enter")
    framed(page, "heatmap")
    for part in ("histogram", "over-time", "calibration-error"):
        page.focus(".wb-next")
        page.keyboard.press("Enter")
        framed(page, part)
    says(page, ".wb-guide-heading", "4 of 6")
    page.wait_for_function(
        "() => { const part = document.querySelector('.wb-look').getBoundingClientRect();"
        " const top = document.querySelector('.wb-guide').getBoundingClientRect().top;"
        " return part.top >= 0 && part.top < top; }"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click(".wb-guide-glossary")
    heights = page.locator(".wb-guide-words mfrac").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert min(heights) > 15  # a numerator stands above a denominator
    page.keyboard.press("Escape")
    page.wait_for_selector(".wb-guide", state="hidden")
    assert page.evaluate("document.activeElement.className") == "wb-guide-open"


def test_an_example_and_the_report_on_its_model(visit, browser, tmp_path):
    page = visit("t=480")
    page.get_by_text("Open another model or capture").click()
    page.click("#example-untrained")
    says(page, ".wb-capture", "example: DDIM, 12 steps")
    page.wait_for_function("() => location.search.includes('capture=untrained')")
    page = visit(page.url.split("?")[1])  # a link finds it
    says(page, ".wb-model", "untrained")
    page.get_by_role("tab", name="Quantize").click()
    page.get_by_text("Take it with you").click()
    page.click("#run-report")
    says(page, "#notice", "There is nothing to take along yet")
    page.click("#apply")
    says(page, "#quantized h3", "Quantized model: rtn", timeout=WORK)
    page.get_by_role("tab", name="Compare").click()
    box = page.locator("#compare-steps input[type=number]")
    box.fill("2")
    box.press("Tab")
    page.click("#run-compare")
    says(page, "#comparison h3", "Float against quantized", timeout=WORK)
    page.click("#run-report")
    says(page, "#run-report-progress p", "done", timeout=WORK)
    with page.expect_download() as download:
        page.locator("#files a[download]").first.click()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    open_offline(browser, path)


def open_offline(browser, path: Path) -> None:
    """The report needs no network, draws its plots, and axe-core finds nothing."""
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    page, wrong = context.new_page(), []
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("() => document.querySelectorAll('.plot .main-svg').length >= 2")
    assert "rtn, W4A8" in page.inner_text("h1")
    assert page.evaluate("document.images[0].naturalWidth") > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert findings(page) == []
    context.close()
    assert wrong == []


@pytest.mark.parametrize(("theme", "rules"), [("light", None), ("dark", ["color-contrast"])])
def test_axe_finds_nothing_on_any_tab(visit, theme, rules):
    page = visit(f"__theme={theme}")
    tabs = page.get_by_role("tab").all()
    for tab in tabs if rules is None else tabs[::4]:
        tab.click()
        page.wait_for_selector(FIRST_PARTS[tab.get_attribute("data-tab-id") or "explore"])
        assert findings(page, rules) == [], tab.inner_text()
