"""Real int8 in a browser: set the profile, apply, run it, look at every layer."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import WORK, says
from tests.e2e.test_e2e_runs import apply, number

pytestmark = [pytest.mark.browser, pytest.mark.slow]
for package in ("onnx", "openvino"):
    pytest.importorskip(package)


def test_a_model_is_run_in_integers_and_every_layer_has_a_badge(visit):
    page = visit("tab=quantize")
    page.wait_for_selector("#layer-sqnr .plot[data-rev]")
    page.click("#int8-profile")
    says(page, "#predicted h3", "Prediction for W8A8")
    apply(page)
    page.get_by_role("tab", name="Compare").click()
    page.get_by_text("Real int8: seconds, bytes").click()
    says(page, "#real h3", "Simulated so far: 1: W8A8")
    number(page, "compare-steps", 1)
    page.locator("#rest").get_by_label("float32").check()  # one precision is compiled, not two
    page.wait_for_function("() => location.search.includes('rest=float32')")
    page.click("#run-real")
    says(page, "#real h3", "Real int8: 1: W8A8", timeout=WORK)
    says(page, "#real-runs", "● real")
    says(page, "#real-shares h3", "% is integer work")
    first = page.locator("#real-layers tr", has_text="conv_in").first
    assert "its input has 16 bits" in first.inner_text()
