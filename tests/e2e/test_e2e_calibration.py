"""The calibration lab in a real browser: edit, draw, measure, use, copy the link."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import WORK, says

pytestmark = pytest.mark.browser
SMALL = "tab=calibration&samplers=timestep-uniform&cal_size=2&cal_steps=2"


def test_draw_measure_and_use_by_keyboard(visit):
    page = visit(SMALL)
    says(page, "#set-says h3", "Nothing drawn yet")
    page.click("#measure")
    says(page, "#notice", "There are no sets yet; choose samplers and press Draw first.")
    page.locator(".wb-bars-bar").first.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("0")
    says(page, ".wb-bars-axis b", "2 samples at 1 of 2 timesteps")
    page.wait_for_function("() => location.search.includes('custom=2-0')")
    expect(page.get_by_label("Custom: the histogram below")).to_be_checked()
    page.click("#draw")
    says(page, "#set-table td", "2. custom, 2", timeout=WORK)
    rows = page.locator("#set-table tbody tr")
    assert rows.count() == 2
    rows.nth(0).focus()
    page.keyboard.press("Enter")
    says(page, "#set-says h3", "1. timestep-uniform, 2")
    page.click("#use-set")
    says(page, "#set-table td:last-child", "yes")
    page.click("#measure")
    says(page, "#effect-says p", "the noise predicted from the same held-out", timeout=WORK)
    counts = "document.querySelector('#counts .plot').data.map(trace => trace.name)"
    page.wait_for_function(f"{counts}.join().startsWith('1. timestep-uniform, 2,2. custom, 2')")
    page.click("#remove-sets")
    says(page, "#set-says h3", "Nothing drawn yet")
    copied = visit(page.url.split("?")[1])
    says(copied, ".wb-bars-axis b", "2 samples at 1 of 2 timesteps")
    expect(copied.get_by_label("Custom: the histogram below")).to_be_checked()


def test_a_bar_is_dragged_and_wrong_numbers_are_one_sentence(visit):
    page = visit(SMALL)
    area = page.locator(".wb-bars-bar").nth(1).locator("i")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    middle, bottom = box["x"] + box["width"] / 2, box["y"] + box["height"]
    page.mouse.move(middle, bottom - 2)
    page.mouse.down()
    page.mouse.move(middle, bottom - 100, steps=4)
    page.mouse.up()
    page.wait_for_function("() => /custom=1-[2-9]/.test(location.search)")
    size = page.locator("#cal-size input")
    size.fill("0")
    size.press("Tab")
    page.click("#draw")
    says(page, "#notice", "Samples must be a whole number from 1 to 1024; got 0.")
