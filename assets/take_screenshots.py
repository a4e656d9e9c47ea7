"""Pictures of the real page for the README: `python -m assets.take_screenshots`.

Starts the workbench, lets it draw, quantize, compare and sweep on the bundled model with few
samples and steps, and photographs what a visitor will see.
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURES = Path(__file__).parent / "screenshots"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LONG = 600_000  # milliseconds
WIDTH, HEIGHT = 1280, 900
COLOURS = 256  # of a picture: a third of the bytes, and no difference that one would see


@dataclass(frozen=True)
class Picture:
    """One picture: what the address selects, what is done then, and which parts it shows."""

    name: str
    act: Callable[[Any], None]
    select: Mapping[str, Any] = field(default_factory=dict)
    first: str = ""  # the part at the top; the page's own top where there is none
    last: str = ""  # the part at the bottom; the window's where there is none
    theme: str = "light"


def main() -> None:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(p.name for p in ALL))
    parser.add_argument("--out", type=Path, default=PICTURES)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for picture in ALL:
            if not args.names or picture.name in args.names:
                query = urlencode({"__theme": picture.theme, **picture.select})
                page = opened(browser, f"{address}/?{query}")
                picture.act(page)
                photograph(page, picture, args.out / f"{picture.name}.png")
                page.close()
        browser.close()


def drawn(*parts: str) -> Callable[[Any], None]:
    """Waits until these plots are there."""

    def wait(page: Any) -> None:
        for part in parts:
            page.wait_for_selector(f"#{part} .plot[data-rev]", timeout=LONG)

    return wait


def calibrate(page: Any) -> None:
    """Draw the sets, and measure what each does."""
    run(page, "draw", "Drawing")
    run(page, "measure", "Measuring")


def quantize(page: Any) -> None:
    """Let a method learn."""
    run(page, "apply", "Quantizing")
    drawn("losses", "agreement")(page)


def compare(page: Any) -> None:
    """Two plans beside the float model."""
    run(page, "apply", "Quantizing")
    for part in ("weight-bits", "act-bits"):
        page.locator(f"#{part}").get_by_label("4", exact=True).check()
    says(page, "#predicted h3", "Prediction for W4A4")
    run(page, "apply", "Quantizing")
    says(page, "#quantized h3", "W4A4")
    page.get_by_role("tab", name="Compare").click()
    steps = page.locator("#compare-steps input[type=number]")
    steps.fill("10")
    steps.press("Tab")
    run(page, "run-compare", "Comparing")
    drawn("divergence")(page)


def sweep(page: Any) -> None:
    """Configurations side by side."""
    run(page, "run-sweep", "Sweeping")
    page.locator("#pareto .point").first.wait_for()


def lesson(page: Any) -> None:
    """A lesson that points at a plot."""
    page.click(".wb-guide-open")
    page.click("[data-lesson=one-timestep]")
    for part in ("heatmap", "histogram", "over-time", "calibration-error"):
        page.wait_for_selector(f"#{part}.wb-look")
        if part != "calibration-error":
            page.click(".wb-next")
    page.wait_for_timeout(1500)  # it scrolls there smoothly


LEARNING = "iterations=30;calibration_size=16;calibration_steps=5;batch=4;act_estimator=minmax"
SETS = {"samplers": "timestep-uniform.ndtc.tdac", "cal_size": 64, "cal_steps": 10}
ROWS = {
    "sweep_methods": "rtn.ptq4dm",
    "sweep_plans": "W8A8.W6A6.W4A8.W4A4",
    "sweep_samples": 8,
    "sweep_steps": 5,
}
ALL = (
    Picture("explore", drawn("histogram", "channels"), last="channels"),
    Picture("over-time", drawn("calibration-error"), {"tab": "time"}, "", "over-time", "dark"),
    Picture(
        "shortcuts", drawn("whole-input"), {"tab": "shortcuts"}, "shortcut-facts", "whole-input"
    ),
    Picture("calibration", calibrate, {"tab": "calibration", **SETS}, "samplers", "scatter"),
    Picture(
        "quantize",
        quantize,
        {"tab": "quantize", "method": "eda-dm", "options": LEARNING},
        "losses",
        "agreement",
    ),
    Picture(
        "compare",
        compare,
        {"tab": "quantize", "weight_bits": 8, "act_bits": 8},
        "comparison",
        "divergence",
    ),
    Picture("sweep", sweep, {"tab": "sweep", **ROWS}, "row-says", "row-table"),
    Picture("lesson", lesson),
)


def opened(browser: Any, address: str) -> Any:
    """A page that has read its address."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(LONG)
    page.goto(address)
    page.wait_for_function("() => new URLSearchParams(location.search).has('layer')")
    return page


def run(page: Any, button: str, name: str) -> None:
    """Press a button and wait for the end of the work it starts."""
    page.wait_for_timeout(1000)  # what was set before has been heard
    page.click(f"#{button}")
    says(page, f"#{button}-progress", "%")
    says(page, f"#{button}-progress", f"{name}: done")


def says(page: Any, part: str, text: str) -> None:
    """Wait until a part's text holds `text`."""
    page.wait_for_function(
        "([part, text]) => document.querySelector(part).textContent.includes(text)",
        arg=[part, text],
        timeout=LONG,
    )


def photograph(page: Any, picture: Picture, path: Path) -> None:
    """The wanted part of the page, in few colours, once two frames have been drawn."""
    page.mouse.move(0, 0)
    if picture.last:  # in one window: the bar that sticks to its top covers nothing
        whole = page.evaluate("() => document.documentElement.scrollHeight")
        page.set_viewport_size({"width": WIDTH, "height": whole})
        page.evaluate("() => window.scrollTo(0, 0)")
    page.wait_for_timeout(1000)
    top = box(page, picture.first)["y"] - 8 if picture.first else 0
    end = box(page, picture.last) if picture.last else {"y": HEIGHT, "height": 0}
    height = end["y"] + end["height"] + (8 if picture.last else 0) - top
    taken = page.screenshot(clip={"x": 0, "y": top, "width": WIDTH, "height": height})
    image = Image.open(BytesIO(taken)).convert("RGB")
    image.quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path, path.stat().st_size)


def box(page: Any, part: str) -> dict[str, float]:
    """Where a part of the page lies, in pixels."""
    found: dict[str, float] = page.locator(f"#{part}").bounding_box()
    return found


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
