"""The page in a real browser: how soon it shows something, how soon a click or a knob repaints."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median, quantiles
from typing import Any

CLICKS = 40
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# From a key, or the mouse button's release, to a plot's next drawing, on the browser's own clock.
STOPWATCH = """plot => {
  if (!window.watch) {
    for (const press of ['mouseup', 'keydown'])
      window.addEventListener(press, () => { window.pressed = performance.now(); }, true);
    window.watch = new MutationObserver(() => { window.painted = performance.now(); });
  }
  window.watch.disconnect();
  window.watch.observe(document.querySelector(`#${plot} .plot`), {attributeFilter: ['data-rev']});
}"""
WHAT_IFS = 20
STEPS = 15  # of the timestep, on each tab that follows it
FOLLOWS = {"time": "over-time", "shortcuts": "halves"}  # tab -> a plot


def page() -> dict[str, Any]:
    """Seconds until the page shows its plots, milliseconds until reads and what-ifs repaint.

    First view: from `python app.py`. Cold load: a new visitor's, from the address on. Reads: from
    a click on the map to the cell's histogram, from a key on the timestep to the open tab's plot,
    from other bits to every layer's prediction. What-if: from other bits to the map of all layers.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        with _served() as (address, started):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(address)
            tab.wait_for_selector("#heatmap .plot[data-rev]")
            first_view = time.perf_counter() - started
            tab.wait_for_selector("#histogram .plot[data-rev]")
            reads = {"click": _clicks(tab)}
            cold = _cold_load(browser, address)
            sqnr = _opened(tab, f"{address}/?stat=sqnr", "heatmap")
            what_ifs = _what_ifs(sqnr, "bits", "heatmap")
            for name, plot in FOLLOWS.items():
                reads[name] = _steps(_opened(tab, f"{address}/?tab={name}", plot), plot)
            bits = _opened(tab, f"{address}/?tab=quantize", "layer-sqnr")
            reads["quantize"] = _what_ifs(bits, "act-bits", "layer-sqnr")
        browser.close()
    return {
        "first_view_s": first_view,
        "first_view_limit_s": 4.0,
        "cold_load_s": cold,
        "cold_load_limit_s": 3.0,
        **{f"{name}_{key}": v for name, ms in reads.items() for key, v in _summary(ms).items()},
        "read_median_limit_ms": 150.0,
        "read_p95_limit_ms": 400.0,
        **{f"what_if_{key}": value for key, value in _summary(what_ifs).items()},
        "what_if_limit_ms": 200.0,
    }


def _summary(milliseconds: list[float]) -> dict[str, float]:
    return {"median_ms": median(milliseconds), "p95_ms": quantiles(milliseconds, n=20)[-1]}


def _cold_load(browser: Any, address: str) -> float:
    """Seconds from the address to both plots of the first tab, the middle of three new visitors."""
    times = []
    for _ in range(3):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        tab = context.new_page()
        started = time.perf_counter()
        tab.goto(address)
        tab.wait_for_selector("#heatmap .plot[data-rev]")
        tab.wait_for_selector("#histogram .plot[data-rev]")
        times.append(time.perf_counter() - started)
        context.close()
    return median(times)


def _opened(tab: Any, address: str, plot: str) -> Any:
    tab.goto(address)
    tab.wait_for_selector(f"#{plot} .plot[data-rev]")
    tab.wait_for_timeout(2000)  # the page reads its address first
    return tab


def _steps(tab: Any, plot: str) -> list[float]:
    """The timestep moved by a key, on the bar's slider."""
    tab.evaluate(STOPWATCH, plot)
    tab.focus(".wb-bar input")
    times = []
    for _ in range(STEPS):
        tab.wait_for_timeout(200)
        times.append(_timed(tab, partial(tab.keyboard.press, "ArrowRight")))
    return times


def find_chromium() -> str:
    """A browser that is on this machine already."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit("error: no Chromium was found; install the package chromium.")
    return found


@contextmanager
def _served() -> Iterator[tuple[str, float]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "app.py", "--port", str(port), "--runs", runs]
        started = time.perf_counter()
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}", started
        finally:
            server.terminate()
            server.wait()


def _wait_for(port: int) -> None:
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("error: the page did not start.")


def _clicks(tab: Any) -> list[float]:
    tab.evaluate(STOPWATCH, "histogram")
    tab.locator("#heatmap").scroll_into_view_if_needed()
    area = tab.locator("#heatmap .plot .nsewdrag").first.bounding_box()
    visible = tab.viewport_size["height"] - area["y"]
    random.seed(0)
    times = []
    for _ in range(CLICKS):
        x = area["x"] + area["width"] * random.uniform(0.02, 0.98)
        y = area["y"] + min(area["height"], visible) * random.uniform(0.05, 0.95)
        tab.mouse.move(x, y)
        tab.wait_for_timeout(200)  # a hand rests on a cell before it clicks; plotly needs it to
        times.append(_timed(tab, partial(tab.mouse.click, x, y)))
    return times


def _what_ifs(tab: Any, knob: str, plot: str) -> list[float]:
    tab.evaluate(STOPWATCH, plot)
    times = []
    for turn in range(WHAT_IFS):
        label = tab.locator(f"#{knob} label").nth((3, 1, 5)[turn % 3])
        label.scroll_into_view_if_needed()
        tab.wait_for_timeout(200)
        times.append(_timed(tab, label.click))
    return times


def _timed(tab: Any, press: Callable[[], None]) -> float:
    tab.evaluate("window.painted = 0")
    press()
    tab.wait_for_function("window.painted > window.pressed", timeout=10_000)
    return float(tab.evaluate("window.painted - window.pressed"))
