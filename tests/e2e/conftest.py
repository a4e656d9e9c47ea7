"""The page itself, in a browser that is on this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE, WORK = 60_000, 180_000  # milliseconds until a wait, or one for work, counts as failed


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def serve(tmp_path_factory) -> Iterator[Callable[..., SimpleNamespace]]:
    """Starts app.py, or a program that wraps it: address, process, log, runs folder."""
    started = []

    def start(*arguments: str, program: tuple[str, ...] = ("app.py",)) -> SimpleNamespace:
        folder = tmp_path_factory.mktemp("server")
        port, log = free_port(), folder / "log"
        command = [sys.executable, *program, "--port", str(port), "--runs", str(folder / "runs")]
        with log.open("w") as sink:
            process = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=sink, stderr=sink)
        started.append(process)
        address = f"http://127.0.0.1:{port}"
        wait_until_served(address, process, log)
        return SimpleNamespace(
            address=address, process=process, log=log, runs=folder / "runs", port=port
        )

    yield start
    for process in started:
        process.terminate()
        process.wait(20)


def wait_until_served(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the page answers; fail with the log if the process ends before."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/config", timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the page did not answer within 60 s")


@pytest.fixture(scope="session")
def server(serve) -> SimpleNamespace:
    return serve()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, server) -> Iterator[Callable[..., object]]:
    """Opens the page as a new visitor; at the end nothing may have gone wrong in any of them."""
    contexts, wrong = [], []

    def watch(page) -> None:
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: check_address(request.url))

    def check_address(url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            wrong.append(f"request to {url}")

    def open_page(query: str = "", address: str = server.address, **context: object):
        contexts.append(
            browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        watch(page)
        page.goto(f"{address}/?{query}")
        settle(page, dict(parse_qsl(query)).get("tab", "explore"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


FIRST_PARTS = {
    "explore": "#histogram .plot[data-rev]",
    "time": "#calibration-error .plot[data-rev]",
    "shortcuts": "#whole-input .plot[data-rev]",
    "calibration": "#counts .plot[data-rev]",
    "quantize": "#layer-sqnr .plot[data-rev]",
    "compare": "#comparison h3",
    "sweep": "#row-says h3",
}


def settle(page, tab: str) -> None:
    """Wait until the page has read its address, writes it itself, and shows the tab."""
    page.wait_for_selector(FIRST_PARTS[tab])
    page.wait_for_function(
        "tab => { const q = new URLSearchParams(location.search);"
        " return q.has('layer') && q.get('tab') === tab; }",
        arg=tab,
    )


def revision(page, part: str) -> int:
    """How often a plot has been drawn."""
    return int(page.locator(f"#{part} .plot").get_attribute("data-rev") or 0)


def redrawn(page, part: str, before: int) -> None:
    """Wait until a plot has been drawn again."""
    page.wait_for_function(
        "([part, before]) => Number(document.querySelector(`#${part} .plot`).dataset.rev) > before",
        arg=[part, before],
    )


def says(page, selector: str, text: str, timeout: int = PATIENCE) -> None:
    """Wait until an element's text holds `text`."""
    from playwright.sync_api import TimeoutError as Late

    try:
        page.wait_for_function(
            "([selector, text]) => [...document.querySelectorAll(selector)]"
            ".some(e => e.textContent.includes(text))",
            arg=[selector, text],
            timeout=timeout,
        )
    except Late:
        instead = page.locator(selector).all_text_contents()
        bar = page.locator(".wb-progress, #notice").all_text_contents()
        raise AssertionError(f"{selector} says {instead}, not {text!r}; progress: {bar}") from None
