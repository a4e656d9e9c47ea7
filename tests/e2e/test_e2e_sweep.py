"""Sweep in a real browser: measure, cancel, keep, sweep, and go to Quantize from a row."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import WORK, says

pytestmark = pytest.mark.browser
QUICK = (
    "tab=sweep&layer_seconds=3600&finalists=0&apart=2&sweep_methods=rtn"
    "&sweep_plans=W8A32.W4A32&sweep_samples=2&sweep_steps=1&sweep_y=ssim"
)


def test_from_sensitive_layers_to_a_configuration(visit):
    page = visit(QUICK)
    says(page, "#layer-says p", "Press Measure")
    says(page, "#row-says p", "press Sweep")
    page.click("#run-layers")
    says(page, "#layer-says h3", "Sensitivity under W4A8", timeout=WORK)  # while it still runs
    page.wait_for_selector("#layer-plot .point")
    page.click("#run-layers-cancel")
    says(page, "#run-layers-progress p", "Measuring: cancelled")
    says(page, "#layer-says p", "Cancelled; what was finished is kept.")
    page.click("#keep-apart")
    says(page, "#with-apart", "With the 2 layers")
    page.click("#run-sweep")
    says(page, "#run-sweep-progress p", "Sweeping: done", timeout=WORK)
    page.wait_for_selector("#pareto .point")
    assert page.locator("#row-table tbody tr").count() == 2
    with page.expect_download() as started:
        page.get_by_role("link", name="Rows as CSV").click()
    assert started.value.path().read_text().count("\n") == 3
    page.locator("#row-table tbody tr").nth(1).focus()
    page.keyboard.press("Enter")
    says(page, "#predicted h3", "Prediction for W4A32")
    says(page, "#notice", "rtn W4A32 is set; press Apply to make it.")
    page.wait_for_function("() => location.search.includes('tab=quantize')")


def test_what_cannot_be_swept_is_one_sentence(visit):
    page = visit(f"{QUICK}&sweep_plans=")
    page.click("#run-sweep")
    says(page, "#notice", "Choose at least one plan to sweep over.")
    page.locator("#more-plans input, #more-plans textarea").press_sequentially("W9A9")
    page.click("#run-sweep")
    says(page, "#notice", "bits must be 2 to 8", timeout=WORK)
