"""Quantize's form, its losses and Cancel; Compare's looks, film and quiz, in a real browser."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.e2e.conftest import WORK, says
from tests.e2e.test_e2e_runs import apply, number

pytestmark = pytest.mark.browser
# Few samples and many iterations: it begins at once and is far from its end when it is cancelled.
SLOW = "calibration_size=4;calibration_steps=2;batch=2;iterations=60;act_estimator=minmax"


def in_url(page, text: str) -> None:
    """Wait until the address holds a text."""
    page.wait_for_function("text => location.search.includes(text)", arg=text)


def test_a_learning_method_is_set_by_its_form_and_keeps_blocks_when_cancelled(visit):
    page = visit(f"tab=quantize&method=eda-dm&options={quote(SLOW)}")
    page.get_by_text("Options of the method, and parts to leave out").click()
    alpha = page.locator(".wb-form input[name=alpha]")
    alpha.fill("-3")
    alpha.press("Tab")
    says(page, ".wb-field-error", "alpha must be 0 to 100; got -3.")
    page.click("#apply")
    says(page, "#notice", "alpha must be 0 to 100; got -3.")
    alpha.fill("0")
    alpha.press("Tab")
    in_url(page, "alpha%3D0")
    page.get_by_label("without qdrop").check()
    in_url(page, "without=qdrop")
    page.click("#apply")
    page.wait_for_selector("#losses .plot[data-rev]", timeout=WORK)
    says(page, "#apply-progress p", "%")
    page.click("#apply-cancel")
    says(page, "#apply-progress p", "Quantizing: cancelled")
    says(page, "#apply-note p", "kept: Apply with these settings goes on from there.")


TYPE = """() => {
  const field = name => document.querySelector(`.wb-form input[name=${name}]`);
  field('alpha').value = '2';
  field('alpha').dispatchEvent(new Event('change'));
  field('drop').value = '0.2'; // not told yet when the answer to alpha comes
  field('drop').dispatchEvent(new Event('input'));
}"""


def test_what_is_typed_while_the_page_answers_stays(visit):
    page = visit("tab=quantize&method=eda-dm")
    page.get_by_text("Options of the method, and parts to leave out").click()
    alpha, drop = (page.locator(f".wb-form input[name={name}]") for name in ("alpha", "drop"))
    alpha.wait_for()
    page.evaluate(TYPE)
    page.wait_for_selector(".wb-field[data-changed=true] input[name=alpha]")
    assert (alpha.input_value(), drop.input_value()) == ("2", "0.2")
    drop.dispatch_event("change")
    alpha.fill("3")
    alpha.press("Tab")
    in_url(page, "alpha%3D3")
    in_url(page, "drop%3D0.2")
    assert (alpha.input_value(), drop.input_value()) == ("3", "0.2")


def test_a_field_that_was_typed_in_and_left_as_it_was_follows_the_page_again(visit):
    page = visit("tab=quantize&method=eda-dm")
    page.get_by_text("Options of the method, and parts to leave out").click()
    drop = page.locator(".wb-form input[name=drop]")
    before = drop.input_value()
    drop.press("End")
    for key in ("5", "Backspace", "Tab"):
        page.keyboard.press(key)
    assert drop.input_value() == before
    page.get_by_label("Fast", exact=True).check()
    page.wait_for_function(
        "before => document.querySelector('.wb-form input[name=drop]').value !== before", arg=before
    )


def test_single_layers_are_kept_fine_and_the_model_is_looked_at_from_all_sides(visit):
    page = visit("tab=quantize&act_bits=4")
    page.get_by_text("Bits of single layers").click()
    page.locator('#layer-table [data-cell="3 2"]').focus()
    page.keyboard.press("8")
    says(page, "#layer-table caption", "1 with bits of their own")
    assert page.evaluate("document.activeElement.dataset.cell") == "3 2"
    page.click("#clear-own")
    says(page, "#layer-table caption", "0 with bits of their own")
    number(page, "worst-count", 3)
    page.click("#keep-worst")
    says(page, "#layer-table caption", "3 with bits of their own")
    apply(page)
    page.wait_for_selector("#agreement .plot[data-rev]")
    says(page, "#quantized p", "3 layers with bits of their own")
    page.get_by_role("tab", name="Compare").click()
    number(page, "compare-steps", 2)
    page.click("#run-compare")
    says(page, "#comparison h3", "Float against quantized", timeout=WORK)
    page.wait_for_function("document.querySelectorAll('#pictures .wb-figures img').length === 2")
    page.locator("#mode").get_by_label("Along the steps").check()
    page.wait_for_selector(".wb-player[data-frame='0'] canvas")
    page.focus(".wb-player input")
    page.keyboard.press("ArrowRight")
    says(page, ".wb-player p", "Step 2 of 2")
    page.locator("#mode").get_by_label("Blind quiz").check()
    page.wait_for_selector(".wb-quiz[data-number='0']")
    page.focus(".wb-quiz button >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector(".wb-quiz[data-number='1']")
    says(page, ".wb-quiz-score", "of 1 right")
    page.click("#remove-variant")
    says(page, "#comparison h3", "Nothing to compare yet")
    in_url(page, "look=quiz")
