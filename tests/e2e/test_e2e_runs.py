"""Quantize, Compare, Capture, Cancel, uploads and several visitors, in a real browser."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.capture.store import save_capture
from tests.e2e.conftest import ROOT, WORK, says
from tests.workbench.conftest import make_capture

pytestmark = pytest.mark.browser
HOSTILE = '<img src=x onerror="window.hacked=1">${window.hacked=2}{{7*7}}</script>'


def apply(page) -> None:
    """Quantize with what is set, and wait for the result."""
    page.click("#apply")
    says(page, "#quantized h3", "Quantized model: rtn", timeout=WORK)


def compare_for_long(page) -> None:
    """Quantize, and begin a comparison that lasts until it is cancelled."""
    apply(page)
    page.get_by_role("tab", name="Compare").click()
    number(page, "compare-steps", 100)
    page.click("#run-compare")
    says(page, "#run-compare-progress p", "%", timeout=WORK)


def number(page, part: str, value: int) -> None:
    box = page.locator(f"#{part} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def test_quantize_then_compare(visit):
    page = visit("tab=compare")
    says(page, "#comparison p", "First open Quantize, choose bits and press Apply")
    page.get_by_role("tab", name="Quantize").click()
    page.wait_for_selector("#layer-sqnr .plot[data-rev]")
    says(page, "#predicted h3", "Prediction for W4A8")
    page.locator("#act-bits").get_by_label("4", exact=True).check()
    says(page, "#predicted h3", "Prediction for W4A4")
    apply(page)
    says(page, "#quantized dd", "MB")
    page.get_by_role("tab", name="Compare").click()
    says(page, "#comparison h3", "Ready")
    number(page, "compare-steps", 2)
    page.click("#run-compare")
    says(page, "#comparison h3", "Float against quantized", timeout=WORK)
    says(page, "#comparison dt", "PSNR")
    says(page, "#comparison dd", "N = 16")
    for mode in ("swipe", "difference"):
        page.locator("#mode").get_by_label(mode.capitalize(), exact=True).check()
        page.wait_for_selector(f".wb-pictures[data-mode={mode}]")
    width = page.evaluate("() => document.querySelectorAll('.wb-figures img')[1].naturalWidth")
    assert width == 4 * 33 - 1
    page.wait_for_selector("#divergence .plot[data-rev]")
    page.locator("#mode").get_by_label("Swipe").check()
    page.wait_for_selector(".wb-pictures[data-mode=swipe]")
    page.focus(".wb-swipe input")
    page.keyboard.press("Home")
    assert "inset(0px 0px 0px 0%)" in page.evaluate(
        "() => document.querySelectorAll('.wb-swipe img')[1].style.clipPath"
    )


def test_the_prediction_is_there_before_any_run(visit):
    page = visit("tab=quantize&weight_bits=4&act_bits=32")
    says(page, "#predicted p", "Activations stay float")
    page.locator("#act-bits").get_by_label("2", exact=True).check()
    says(page, "#predicted dt", "Worst layer")


def test_cancel_ends_a_comparison_and_keeps_the_quantized_model(visit):
    page = visit("tab=quantize")
    compare_for_long(page)
    says(page, "#run-compare-progress p", "left")
    page.click("#run-compare-cancel")
    says(page, "#run-compare-progress p", "Comparing: cancelled")
    says(page, "#comparison h3", "Ready")
    page.wait_for_selector("#run-compare:enabled")


def test_a_second_visitor_waits_in_the_queue_and_gets_the_own_result(visit):
    first, second = visit("tab=quantize&act_bits=8"), visit("tab=quantize&act_bits=3")
    compare_for_long(first)
    second.click("#apply")
    says(second, "#apply-progress p", "Waiting: 1 before you")
    says(second, "#quantized h3", "Quantized model")
    first.click("#run-compare-cancel")
    says(second, "#quantized h3", "rtn, W4A3", timeout=WORK)
    first.get_by_role("tab", name="Quantize").click()
    says(first, "#quantized h3", "rtn, W4A8")
    first.get_by_role("tab", name="Compare").click()
    says(first, "#comparison h3", "Ready")


@pytest.mark.slow
def test_a_waiting_visitor_can_leave_the_queue(visit):
    first, second = visit("tab=quantize"), visit("tab=quantize")
    compare_for_long(first)
    second.click("#apply")
    says(second, "#apply-progress p", "Waiting")
    second.click("#apply-cancel")
    says(second, "#apply-progress p", "Quantizing: cancelled")
    first.click("#run-compare-cancel")
    says(first, "#run-compare-progress p", "cancelled")


def test_capture_now_opens_a_capture_that_a_link_finds(visit, server):
    page = visit()
    page.get_by_text("Open another model or capture").click()
    number(page, "steps", 3)
    number(page, "capture-samples", 2)
    page.click("#run-capture")
    says(page, ".wb-capture", "own capture: DDIM, 3 steps, 2 samples", timeout=WORK)
    page.wait_for_function("() => location.search.includes('capture=capture-')")
    assert len(list(server.runs.glob("capture-*/capture.safetensors"))) == 1
    copied = visit(page.url.split("?")[1])
    says(copied, ".wb-capture", "own capture: DDIM, 3 steps, 2 samples")
    assert copied.evaluate("document.querySelector('#heatmap .plot').layout.meta.columns") == 3


def test_bad_numbers_are_one_sentence(visit):
    page = visit()
    page.get_by_text("Open another model or capture").click()
    for field, value, sentence in (
        ("steps", 0, "steps must be a whole number from 1 to 1000; got 0."),
        ("steps", 10_000, "steps must be a whole number from 1 to 1000; got 10000."),
        ("capture-samples", -1, "samples must be a whole number from 1 to 1024; got -1."),
    ):
        number(page, field, value)
        page.click("#run-capture")
        says(page, "#notice", sentence)
        number(page, "steps", 3)


def test_an_unknown_model_is_one_sentence_and_nothing_is_lost(visit):
    page = visit("layer=conv_in&t=480")
    page.get_by_text("Open another model or capture").click()
    page.locator("#model textarea, #model input").fill("no/such/model")
    page.click("#run-capture")
    says(page, "#notice", "There is no model 'no/such/model'", timeout=WORK)
    assert page.locator(".wb-bar select").input_value() == "conv_in"


HOSTILE_NAMES = (HOSTILE, "mid.<b>bold</b>", "up.<svg onload=alert(1)>")
# Files with such names are refused, so the page is given one past the check.
HOSTILE_PAGE = f"""
import app, workbench.captures, workbench.shell
from tests.workbench.conftest import make_capture
from tests.workbench.test_workbench_sweep import measured
names = {HOSTILE_NAMES!r}
workbench.captures.load_capture = lambda path: make_capture(names)
begin = workbench.shell._new_session
def new_session(key, settings):
    session = begin(key, settings)
    session.swept = measured(names)
    return session
workbench.shell._new_session = new_session
app.main()
"""


def test_names_with_markup_stay_text_on_every_tab(visit, serve):
    address = serve(program=("-c", HOSTILE_PAGE)).address
    page = visit(address=address)
    page.select_option(".wb-bar select", HOSTILE)
    says(page, "#cell h3", HOSTILE)
    page.get_by_text("The same numbers as tables").click()
    says(page, "#cell-numbers caption", HOSTILE)
    page.get_by_role("tab", name="Over time").click()
    says(page, "#time-facts h3", HOSTILE)
    page.get_by_role("tab", name="Shortcuts").click()
    says(page, "#shortcut-table td", HOSTILE_NAMES[2])
    page.get_by_role("tab", name="Quantize").click()
    page.wait_for_selector("#layer-sqnr .plot[data-rev]")
    page.get_by_text("Bits of single layers").click()
    says(page, "#layer-table td", HOSTILE)
    page.locator("#layer-table select").first.select_option("8")
    page.wait_for_function("() => location.search.includes('layer_bits=')")
    page.get_by_role("tab", name="Calibration").click()
    page.wait_for_selector("#counts .plot[data-rev]")
    page.get_by_role("tab", name="Compare").click()
    says(page, "#comparison h3", "Nothing to compare yet")
    page.get_by_role("tab", name="Sweep").click()
    says(page, "#layer-says dd", HOSTILE)
    page.wait_for_selector("#layer-plot .point")
    page.get_by_text("Every layer as a table").last.click()
    says(page, "#sensitivity-table td", HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x], svg[onload]").count() == 0
    copied = visit(page.url.split("?")[1], address=address)
    assert copied.locator(".wb-bar select").input_value() == HOSTILE
    says(copied, "#with-apart", "With the 1 layer")
    assert copied.evaluate("window.hacked") is None


def test_a_file_with_markup_for_a_name_is_refused_as_text(visit, tmp_path):
    path = save_capture(make_capture(HOSTILE_NAMES), tmp_path / "hostile.safetensors")
    page = visit()
    page.get_by_text("Open another model or capture").click()
    page.set_input_files("#upload input[type=file]", path)
    page.wait_for_selector("#notice .wb-error")
    assert HOSTILE in page.inner_text("#notice")
    assert page.evaluate("window.hacked") is None
    says(page, ".wb-capture", "bundled capture")


def test_an_uploaded_capture_is_opened_and_a_link_finds_it(visit, tmp_path):
    path = save_capture(make_capture(), tmp_path / "mine.safetensors")
    page = visit()
    page.get_by_text("Open another model or capture").click()
    page.set_input_files("#upload input[type=file]", path)
    says(page, ".wb-capture", "own capture: DDIM, 4 steps, 2 samples")
    page.wait_for_function("() => location.search.includes('capture=upload-')")
    copied = visit(page.url.split("?")[1])
    says(copied, ".wb-capture", "own capture: DDIM, 4 steps, 2 samples")


def test_a_file_that_is_no_capture_is_one_sentence(visit, tmp_path):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"not a capture at all")
    page = visit()
    page.get_by_text("Open another model or capture").click()
    page.set_input_files("#upload input[type=file]", path)
    page.wait_for_selector("#notice .wb-error")
    sentence = page.inner_text("#notice")
    assert "broken.safetensors is no capture" in sentence
    assert "Traceback" not in sentence
    assert str(tmp_path) not in sentence
    says(page, ".wb-capture", "bundled capture")


def test_a_capture_of_another_model_cannot_calibrate(visit, tmp_path):
    path = save_capture(replace(make_capture(), model="other"), tmp_path / "other.safetensors")
    page = visit()
    page.get_by_text("Open another model or capture").click()
    page.set_input_files("#upload input[type=file]", path)
    says(page, ".wb-model", "other")
    page.get_by_role("tab", name="Quantize").click()
    page.click("#apply")
    says(page, "#notice", "The capture was taken of another model (other)", timeout=WORK)


def test_demo_takes_no_models_and_few_samples(visit, serve):
    demo = serve("--demo")
    page = visit(address=demo.address)
    page.get_by_text("Open another model or capture").click()
    assert page.locator("#model textarea, #model input").is_disabled()
    page.locator("#capture-samples input").fill("65")
    page.locator("#capture-samples input").press("Tab")
    page.click("#run-capture")
    says(page, "#notice", "samples must be a whole number from 1 to 64; got 65.")


def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "app.py", "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1:{port}")
    assert done.stderr.count("\n") == 1


def test_a_page_that_nobody_uses_sleeps(server):
    def woken() -> int:
        tasks = Path(f"/proc/{server.process.pid}/task").glob("*/status")
        lines = [line for task in tasks for line in task.read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))

    end, often = time.monotonic() + 60, True
    while often and time.monotonic() < end:  # what the tests before began may still end
        before = woken()
        time.sleep(1)
        often = woken() - before > 300  # it was a thousand
    assert not often


def test_the_log_shows_no_traceback(server):
    assert "Traceback" not in server.log.read_text()
