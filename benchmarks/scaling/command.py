"""`python -m benchmarks scaling`: measure what is missing, smallest first, and write the page."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from analysis.atomic import write_whole
from benchmarks.scaling.features import Features, features, sdxl_words
from benchmarks.scaling.models import SD15, Shape, sdxl, unet
from benchmarks.scaling.points import Folder, Point, points
from benchmarks.scaling.render import document

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scaling.md"
KEPT = ROOT / "runs" / "scaling"


def main(arguments: Sequence[str]) -> None:
    """Measure within a budget, then write docs/scaling.md from all that is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="begin no point after these")
    parser.add_argument("--most", type=int, help="points to measure now, the smallest first")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of measured points")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write")
    given = parser.parse_args(arguments)
    folder = Folder(given.kept)
    _measure(folder, given.minutes * 60, given.most)
    write_whole(given.page, _page(folder, given.page).encode())
    print(given.page)


def _measure(folder: Folder, seconds: float, most: int | None) -> None:
    started = time.monotonic()
    for point in [one for one in points() if folder.get(one) is None][:most]:
        if time.monotonic() - started > seconds:
            return
        values = _alone(point)
        if values is not None:
            folder.put(point, values)


def _alone(point: Point) -> dict[str, float] | None:
    """A point in a process of its own; a process that fails is told, and leaves a gap."""
    words = [point.work, *astuple(point.shape), point.samples, point.steps]
    command = [sys.executable, "-m", "benchmarks.scaling.measure", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        print(f"{point.key}: {last}", file=sys.stderr, flush=True)
        return None
    values = json.loads(done.stdout)
    print(f"{point.key}: {values['seconds']:.2f} s, {values['peak_mb']:.0f} MB", flush=True)
    return values


def _page(folder: Folder, page: Path) -> str:
    measured = [(point, found) for point in points() if (found := folder.get(point)) is not None]
    left = [point for point in points() if folder.get(point) is None]
    counted = {shape: _counted(shape) for shape in _shapes()}
    return document(measured, left, counted, features(sdxl, sdxl_words), _made())


def _shapes() -> list[Shape]:
    found = dict.fromkeys(point.shape for point in points())
    return [*(shape for shape in found if shape != SD15), SD15]


def _counted(shape: Shape) -> Features:
    return features(lambda: unet(shape))


def _made() -> str:
    """The command, the commit and the machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return (
        f"Written by `python -m benchmarks scaling` at commit {commit or 'unknown'} on "
        f"{os.cpu_count()} {platform.machine()} cores.\n"
    )
