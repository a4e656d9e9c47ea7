"""The points that are measured, smallest first, and the files that keep them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.atomic import write_whole
from benchmarks.scaling.models import SD15, Shape

WORKS = ("capture", "calibration", "reconstruction")
MIDDLE = Shape(64, 1, 16)


@dataclass(frozen=True)
class Point:
    """One measurement. Of a calibration `samples` is the set's size and runs are shared.

    Of a reconstruction `samples` is the set's size and `steps` the iterations a block, with a
    batch of `BATCH`.
    """

    work: str
    shape: Shape
    samples: int
    steps: int

    @property
    def key(self) -> str:
        s = self.shape
        return f"{self.work}-{s.width}-{s.per}-{s.size}-{self.samples}-{self.steps}"


BATCH = 2  # of reconstruction
SHAPES = (
    *(Shape(width, 1, 16) for width in (32, 96, 128)),
    *(Shape(64, per, 16) for per in (2, 3)),
    *(Shape(64, 1, size) for size in (8, 32)),
    *(Shape(width, 2, 32) for width in (64, 128, 192)),
    Shape(320, 1, 32),
    SD15,
)
AMOUNTS = ((2, 2), (8, 2), (32, 2), (2, 6), (2, 18))  # samples, steps; of the middle shape


def points() -> list[Point]:
    """Every work over samples and steps of one shape, and over shapes at two of each."""
    found = [Point(work, MIDDLE, *amount) for amount in AMOUNTS for work in WORKS]
    found += [Point(work, shape, 2, 2) for shape in SHAPES for work in WORKS]
    return sorted(found, key=size_of)


def size_of(point: Point) -> float:
    """About how much a point computes, to take small ones first."""
    shape = point.shape
    return shape.width**2 * shape.per * shape.size**2 * point.samples * point.steps


class Folder:
    """Measured points, a file each, so that a run that was stopped goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, point: Point) -> dict[str, Any] | None:
        """What was measured, or nothing."""
        file = self.path / f"{point.key}.json"
        return json.loads(file.read_text()) if file.is_file() else None

    def put(self, point: Point, values: dict[str, Any]) -> None:
        """Keep what was measured."""
        whole = {"point": asdict(point), **values}
        write_whole(self.path / f"{point.key}.json", json.dumps(whole, indent=1).encode())
