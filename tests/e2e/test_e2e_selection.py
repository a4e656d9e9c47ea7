"""One visitor's way through selections: history, arrow keys, a clip range dragged and keyed."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import redrawn, revision, says

pytestmark = pytest.mark.browser


def drag(page, handle, pixels: int) -> None:
    """Pull a handle sideways, once it stands still."""
    handle.hover()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels / 2, y)
    page.mouse.move(x + pixels, y)
    page.mouse.up()


def test_selections_are_steps_of_the_history_and_ranges_can_be_drawn(visit):
    page = visit("layer=conv_in&t=480&stat=sqnr")
    drawn = revision(page, "histogram")
    page.select_option(".wb-bar select", "mid_block.resnets.0.conv1")
    says(page, "#cell h3", "mid_block.resnets.0.conv1")
    redrawn(page, "histogram", drawn)
    page.wait_for_function("() => location.search.includes('mid_block')")

    as_made = page.evaluate("history.length")
    mapped, high = revision(page, "heatmap"), page.locator(".wb-clip[data-side=high]")
    before = float(high.get_attribute("aria-valuenow"))
    high.scroll_into_view_if_needed()
    drag(page, high, -120)
    redrawn(page, "heatmap", mapped)
    says(page, "#what-if p", "This layer's range was drawn by hand")
    dragged = float(high.get_attribute("aria-valuenow"))
    assert 0 <= dragged < before
    assert float(page.locator("#cell dd", has_text="units, RMS").nth(1).inner_text().split()[0]) > 0
    page.wait_for_function("() => location.search.includes('own=')")
    address = page.url
    high.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function(
        "v => Number(document.querySelector('.wb-clip[data-side=high]').ariaValueNow) < v",
        arg=dragged,
    )
    assert page.evaluate("document.activeElement.className") == "wb-clip"
    page.wait_for_function("url => location.href !== url", arg=address)
    assert "own=" in page.url
    by_hand = page.evaluate("history.length") - as_made  # one step, or two more than a second apart
    assert by_hand in (1, 2)

    page.get_by_role("tab", name="Over time").click()
    says(page, "#time-facts h3", "mid_block.resnets.0.conv1")
    says(page, "#calibration-error .legendtext", "the range drawn by hand")
    page.focus("#over-time .plot")
    page.keyboard.press("ArrowRight")
    says(page, ".wb-live", "mid_block.resnets.0.conv1 at timestep 460")
    page.wait_for_function("() => location.search.includes('t=460')")

    page.evaluate("history.go(-2)")  # the step, then the tab
    page.wait_for_selector("#histogram .plot[data-rev]:visible")
    page.wait_for_function("() => location.search.includes('tab=explore')")
    page.evaluate("steps => history.go(-steps)", by_hand)
    says(page, "#what-if p", "no model is run")
    page.wait_for_function(
        "() => !document.querySelector('#what-if p').textContent.includes('drawn by hand')"
    )
    page.go_back()
    says(page, "#cell h3", "conv_in")
    page.go_forward()
    says(page, "#cell h3", "mid_block.resnets.0.conv1")
    assert "own=" not in page.url
