"""Pictures of the real page for the README: `python -m assets.take_screenshots`.

Starts the workbench, quantizes the bundled model, compares, and photographs every tab.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PICTURES = Path(__file__).parent / "screenshots"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LONG = 600_000  # milliseconds


def main() -> None:
    """Photograph the page at its usual width, and the first tab dark and on a telephone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument("--plan", default="W4A4", help="bits for Quantize and Compare")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        walk_through(browser, address, args.plan, args.out)
        for name, width, theme in (("explore-dark", 1280, "dark"), ("narrow", 390, "light")):
            page = opened(browser, f"{address}/?__theme={theme}", width)
            page.wait_for_selector("#histogram .plot[data-rev]")
            photograph(page, args.out / f"{name}.png")
        photograph_lesson(browser, address, args.out)
        browser.close()


def walk_through(browser: Any, address: str, plan: str, out: Path) -> None:
    """Every tab in turn, with one quantized model and its comparison."""
    weight_bits, act_bits = plan.upper().removeprefix("W").split("A")
    query = f"__theme=light&weight_bits={weight_bits}&act_bits={act_bits}"
    page = opened(browser, f"{address}/?{query}", 1280)
    page.wait_for_selector("#histogram .plot[data-rev]")
    photograph(page, out / "explore.png")
    for tab, part in (("Over time", "#over-time .plot"), ("Shortcuts", "#whole-input .plot")):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_selector(f"{part}[data-rev]")
        photograph(page, out / f"{tab.lower().replace(' ', '-')}.png")
    page.get_by_role("tab", name="Quantize").click()
    page.wait_for_selector("#layer-sqnr .plot[data-rev]")
    page.click("#apply")
    page.wait_for_selector("#quantized dl > div", timeout=LONG)
    photograph(page, out / "quantize.png")
    page.get_by_role("tab", name="Compare").click()
    page.click("#run-compare")
    page.wait_for_selector("#divergence .plot[data-rev]", timeout=LONG)
    photograph(page, out / "compare.png")


def photograph_lesson(browser: Any, address: str, out: Path) -> None:
    """A lesson that points at a plot, as the window shows it."""
    page = opened(browser, f"{address}/?__theme=light", 1280)
    page.wait_for_selector("#histogram .plot[data-rev]")
    page.click(".wb-guide-open")
    page.click("[data-lesson=one-timestep]")
    for part in ("heatmap", "histogram", "over-time", "calibration-error"):
        page.wait_for_selector(f"#{part}.wb-look")
        if part != "calibration-error":
            page.click(".wb-next")
    page.wait_for_timeout(1000)  # it scrolls there smoothly
    page.screenshot(path=out / "lesson.png")
    print(out / "lesson.png")


def opened(browser: Any, address: str, width: int) -> Any:
    """A page that has read its address."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(address)
    page.wait_for_function("() => new URLSearchParams(location.search).has('layer')")
    return page


def photograph(page: Any, path: Path) -> None:
    """The whole page once two frames have been drawn."""
    page.mouse.move(0, 0)
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    page.screenshot(path=path, full_page=True)
    print(path)


@contextmanager
def served() -> Iterator[str]:
    """The workbench on a free port, with an empty runs folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as runs:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--runs", runs], cwd=ROOT
        )
        try:
            wait_for(f"{address}/config", process)
            yield address
        finally:
            process.terminate()
            process.wait(20)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the page answers; end when it cannot."""
    while process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("error: the workbench did not start; see above.")


def chromium() -> str:
    """A browser that is on this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("error: no Chromium on this machine; install the package chromium.")
    return path


if __name__ == "__main__":
    main()
