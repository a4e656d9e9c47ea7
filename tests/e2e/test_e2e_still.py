"""Nothing jumps: what stands on the page stays there while it loads and while numbers change."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import redrawn, revision, says

pytestmark = pytest.mark.browser

GOOD = 0.1  # of the layout shift that Lighthouse calls good
FIRST_PLOT = {"explore": "histogram", "time": "over-time", "shortcuts": "halves"}
SIZES = {1280: 900, 390: 844}
SHIFT = """() => new Promise(resolve => {
  new PerformanceObserver(list => resolve(
    list.getEntries().filter(e => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0))
  ).observe({type: 'layout-shift', buffered: true});
  setTimeout(resolve, 1000, 0);  // nothing moved at all
})"""
PLACES = """() => Object.fromEntries([...document.querySelectorAll('.plot')]
  .filter(plot => plot.offsetParent !== null).map(plot => {
    const {top, height} = plot.getBoundingClientRect();
    return [plot.closest('.block[id]').id, [Math.round(top + scrollY), Math.round(height)]];
  }))"""


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("tab", FIRST_PLOT)
def test_plots_stay_where_they_are(visit, tab, width):
    page = visit(f"tab={tab}&t=480", viewport={"width": width, "height": SIZES[width]})
    page.wait_for_selector(f"#{FIRST_PLOT[tab]} .plot[data-rev]")
    page.wait_for_timeout(1000)
    assert page.evaluate(SHIFT) < GOOD
    before = page.evaluate(PLACES)
    assert FIRST_PLOT[tab] in before

    drawn = revision(page, FIRST_PLOT[tab])
    page.focus(".wb-bar input")
    page.keyboard.press("ArrowRight")
    says(page, ".wb-live", "at timestep 460")
    redrawn(page, FIRST_PLOT[tab], drawn)
    assert page.evaluate(PLACES) == before

    drawn = revision(page, FIRST_PLOT[tab])
    page.select_option(".wb-bar select", "up_blocks.2.resnets.0.conv_shortcut")
    redrawn(page, FIRST_PLOT[tab], drawn)
    page.wait_for_timeout(500)
    assert page.evaluate(PLACES) == before
