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
# From the mouse button's release to a plot's next drawing, on the browser's own clock.
STOPWATCH = """plot => {
  if (!window.watch) {
    window.addEventListener('mouseup', () => { window.pressed = performance.now(); }, true);
    window.watch = new MutationObserver(() => { window.painted = performance.now(); });
  }
  window.watch.disconnect();
  window.watch.observe(document.querySelector(`#${plot} .plot`), {attributeFilter: ['data-rev']});
}"""
WHAT_IFS = 20


def page() -> dict[str, Any]:
    """Seconds from `python app.py` to the first heatmap, milliseconds from click to histogram.

    What-if: milliseconds from a click on other bits to the map of all layers.
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
            clicks = _clicks(tab)
            tab.goto(f"{address}/?stat=sqnr")
            tab.wait_for_selector("#histogram .plot[data-rev]")
            what_ifs = _what_ifs(tab)
        browser.close()
    return {
        "first_view_s": first_view,
        "first_view_limit_s": 5.0,
        "clicks": len(clicks),
        "click_median_ms": median(clicks),
        "click_p95_ms": quantiles(clicks, n=20)[-1],
        "click_limit_ms": 150.0,
        "what_if_median_ms": median(what_ifs),
        "what_if_p95_ms": quantiles(what_ifs, n=20)[-1],
        "what_if_limit_ms": 200.0,
    }


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


def _what_ifs(tab: Any) -> list[float]:
    tab.wait_for_timeout(2000)  # the page reads its address first
    tab.evaluate(STOPWATCH, "heatmap")
    times = []
    for turn in range(WHAT_IFS):
        label = tab.locator("#bits label").nth((3, 1, 5)[turn % 3])
        label.scroll_into_view_if_needed()
        tab.wait_for_timeout(200)
        times.append(_timed(tab, label.click))
    return times


def _timed(tab: Any, press: Callable[[], None]) -> float:
    tab.evaluate("window.painted = 0")
    press()
    tab.wait_for_function("window.painted > window.pressed", timeout=10_000)
    return float(tab.evaluate("window.painted - window.pressed"))
