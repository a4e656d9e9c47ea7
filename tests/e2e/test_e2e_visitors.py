"""Twenty visitors at once: each sees only their own selection, and what they held is given back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.conftest import says

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VISITORS = 20
MORE_MEGABYTES = 200  # that the server may hold when all have left: caches, freed but not returned


def megabytes(process) -> float:
    """Memory that a process holds."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def test_twenty_visitors_keep_apart(visit, serve):
    server = serve()
    first = visit("", server.address)
    own, before = first.locator("#cell h3").first.inner_text(), megabytes(server.process)
    options = first.locator(".wb-bar option").evaluate_all("all => all.map(one => one.value)")
    names = [name for name in options if name != own]
    chosen = names[:: len(names) // VISITORS][:VISITORS]
    pages = [visit(f"layer={name.replace('#', '%23')}&t=480", server.address) for name in chosen]
    for page in pages:
        page.focus(".wb-bar input")
        page.keyboard.press("ArrowRight")
    for page, name in zip(pages, chosen, strict=True):
        says(page, ".wb-live", f"{name} at timestep 460")
        assert page.locator("#cell h3").first.inner_text() == name
    assert first.locator("#cell h3").first.inner_text() == own
    for page in pages:
        page.context.close()
    end = time.monotonic() + 60
    while megabytes(server.process) > before + MORE_MEGABYTES and time.monotonic() < end:
        time.sleep(1)
    assert megabytes(server.process) <= before + MORE_MEGABYTES
