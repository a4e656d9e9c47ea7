"""Explore, the sticky bar and the address, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import redrawn, revision, says, settle

pytestmark = pytest.mark.browser


def click_cell(page, x: float, y: float) -> None:
    """Click the heatmap at shares of its width and height."""
    area = page.locator("#heatmap .plot .nsewdrag")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    at = (box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.move(*at)
    page.wait_for_selector("#heatmap .hoverlayer .hovertext")
    page.mouse.click(*at)


def test_a_click_opens_the_cell(visit):
    page = visit()
    heading, drawn = page.inner_text("#cell h3"), revision(page, "histogram")
    curve = "() => document.querySelector('#histogram .plot').data[0].y.bdata"
    before = page.evaluate(curve)
    click_cell(page, 0.2, 0.3)
    redrawn(page, "histogram", drawn)
    expect(page.locator("#cell h3")).not_to_have_text(heading)
    assert page.evaluate(curve) != before
    assert page.inner_text("#cell h3") in page.locator(".wb-bar select").input_value()
    tied = "#histogram [clip-path*=http], #heatmap [clip-path*=http], [style*='url(\"http']"
    assert page.locator(tied).count() == 0  # such parts vanish when the address changes


def test_arrow_keys_move_the_cell_and_say_so(visit):
    page = visit("layer=conv_in&t=480")
    page.focus("#heatmap .plot")
    page.keyboard.press("ArrowRight")
    says(page, ".wb-live", "conv_in at timestep 460")
    page.keyboard.press("ArrowDown")
    says(page, "#cell h3", "down_blocks.0.resnets.0.conv1")
    page.keyboard.press("ArrowUp")
    says(page, "#cell h3", "conv_in")


def test_the_grid_follows_its_controls(visit):
    page = visit()
    says(page, "#cell dd", "of 16")
    page.locator("#bits").get_by_label("3", exact=True).check()
    says(page, "#cell dd", "of 8")
    page.get_by_label("this timestep only").check()
    says(page, "#cell dd", "8 of 8")
    expect(page).to_have_url(re.compile("bits=3.*scope=step"))


def test_a_filter_leaves_the_layers_that_match(visit):
    page = visit()
    page.get_by_label("Name contains").press_sequentially("mid_block")
    page.wait_for_function(
        "() => document.querySelector('#heatmap .plot').layout.meta.rows"
        ".every(name => name.includes('mid_block'))"
    )
    page.get_by_label("Name contains").press_sequentially("zzz")
    says(page, "#notice", "No layer of this kind has 'mid_blockzzz' in its name")


def test_a_copied_link_restores_the_selection(visit):
    page = visit()
    page.select_option(".wb-bar select", "mid_block.resnets.0.conv1")
    says(page, "#cell h3", "mid_block.resnets.0.conv1")
    page.get_by_role("tab", name="Over time").click()
    page.wait_for_selector("#over-time .plot[data-rev]")
    page.get_by_role("radio", name="Percentiles").check()
    page.wait_for_function("() => location.search.includes('plot=bands')")
    copied = visit(page.url.split("?")[1])
    assert copied.locator(".wb-bar select").input_value() == "mid_block.resnets.0.conv1"
    says(copied, "#over-time-plot, #time-facts h3", "mid_block.resnets.0.conv1")
    expect(copied.get_by_role("radio", name="Percentiles")).to_be_checked()
    copied.reload()
    settle(copied, "time")
    expect(copied.get_by_role("tab", name="Over time")).to_have_attribute("aria-selected", "true")


def test_nonsense_in_the_address_is_said_and_passed_over(visit):
    more = "samplers=%3Cscript%3E&sweep_plans=W&layer_bits=%5B"
    page = visit(f"layer=nope&bits=99&t=480&capture=../../etc&{more}")
    says(page, "#notice", "The link names a capture that is not here")
    passed_over = "layer, bits, samplers, sweep_plans, layer_bits"
    says(page, "#notice", f"The link's {passed_over} could not be used with this capture")
    says(page, ".wb-bar-step b", "t = 480")


def test_the_timestep_slider_moves_every_tab(visit):
    page = visit("tab=time")
    drawn = revision(page, "over-time")
    page.focus(".wb-bar input[type=range]")
    page.keyboard.press("End")
    redrawn(page, "over-time", drawn)
    says(page, ".wb-bar-step b", "t = 0")
    page.get_by_role("tab", name="Shortcuts").click()
    says(page, "#shortcut-table caption", "at t = 0")


def test_shortcuts_say_which_are_bimodal(visit):
    page = visit("tab=shortcuts")
    rows = page.locator("#shortcut-table tbody tr")
    assert rows.count() == 16
    column = [rows.nth(i).locator("td").nth(4).inner_text() for i in range(16)]
    assert {"yes", "no"} == set(column)
    for word, sentence in (("yes", "Bimodal at t"), ("no", "Not bimodal at t")):
        rows.nth(column.index(word)).focus()
        page.keyboard.press("Enter")
        says(page, "#shortcut-facts p", sentence)


DRAG = """async () => {
  const slider = document.querySelector('.wb-bar input[type=range]');
  for (let step = 1; step <= 40; step++) {
    slider.value = step;
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    await new Promise(done => setTimeout(done, 10));
  }
}"""


def test_a_slider_that_is_dragged_faster_than_the_page_answers_ends_where_it_is_let_go(visit):
    page = visit("t=980")
    page.evaluate(DRAG)
    says(page, "#cell", "timestep 180.")
    page.wait_for_function("location.search.includes('t=180')")


def test_arrow_keys_pressed_faster_than_the_page_answers_are_all_counted(visit):
    page = visit("t=980")
    page.locator("#heatmap .plot").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('t=580')")
    says(page, "#cell", "timestep 580.")


def test_of_two_rows_chosen_at_once_the_second_is_shown(visit):
    page = visit("tab=shortcuts")
    rows = page.locator("#shortcut-table tbody tr")
    page.evaluate("""async () => {
      const rows = document.querySelectorAll('#shortcut-table tbody tr');
      rows[3].click();
      await new Promise(done => setTimeout(done, 15)); // the first is on its way
      rows[9].click();
    }""")
    wanted = rows.nth(9).locator("td").first.inner_text()
    page.wait_for_function("layer => location.search.includes(layer)", arg=wanted)
    assert rows.nth(9).get_attribute("aria-selected") == "true"


def test_no_sideways_scrolling_on_a_narrow_screen(visit):
    page = visit(viewport={"width": 390, "height": 844})
    parts = {
        "Explore": "#histogram .plot[data-rev]",
        "Over time": "#calibration-error .plot[data-rev]",
        "Shortcuts": "#whole-input .plot[data-rev]",
        "Calibration": "#counts .plot[data-rev]",
        "Quantize": "#layer-sqnr .plot[data-rev]",
        "Compare": "#comparison h3",
        "Sweep": "#layer-plot .plot[data-rev]",
    }
    for tab, part in parts.items():
        page.get_by_role("tab", name=tab).click()
        page.wait_for_selector(part)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab


def test_dark_theme_reaches_the_plots(visit):
    page = visit("__theme=dark")
    ink = page.evaluate("() => document.querySelector('#histogram .plot').layout.font.color")
    light = visit("__theme=light").evaluate(
        "() => document.querySelector('#histogram .plot').layout.font.color"
    )
    assert ink != light
    assert "__theme=dark" in page.url
