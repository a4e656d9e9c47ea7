"""What a sweep knows: its cells, what came out of each, and where finished ones are kept."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from analysis.atomic import write_whole
from analysis.console import plain

OWN = "own"  # the calibration that a method draws itself
NONE = "none"  # where nothing is calibrated
VERSION = 1  # of what is measured and how; raising it makes all kept rows stale
SHOWN = ("method", "plan", "calibration", "psnr_db", "ssim", "frechet", "seconds")


@dataclass(frozen=True)
class Cell:
    """One configuration of the grid."""

    method: str
    plan: str
    calibration: str  # "own", a sampler, the name of a given set, or "none"


@dataclass(frozen=True)
class SweepRow:
    """What came out of one configuration; `None` is what does not apply or was not reached.

    PSNR and SSIM compare pictures with the float model's from the same noise; the Frechet
    distance is to the data, and depends on the number of samples. `seconds` is the time for
    calibrating, quantizing and sampling. A row that failed says why, in `error`.
    """

    method: str
    plan: str
    calibration: str
    psnr_db: float | None = None
    ssim: float | None = None
    frechet: float | None = None
    seconds: float = 0.0
    frechet_float: float | None = None
    weight_bits: int = 32
    act_bits: int = 32
    size_mb: float | None = None
    float_size_mb: float | None = None
    preset: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)  # layers with bits of their own
    samples: int = 0
    steps: int = 0
    seed: int = 0
    model: str = ""
    model_digest: str = ""
    error: str | None = None

    @property
    def cell(self) -> Cell:
        return Cell(self.method, self.plan, self.calibration)

    @property
    def product(self) -> int:
        """Bits of a weight times bits of an activation: what one multiplication costs."""
        return self.weight_bits * self.act_bits


@dataclass(frozen=True)
class Sweep:
    """The rows that ran, in the grid's order, and the cells that the time did not suffice for."""

    model: str
    rows: tuple[SweepRow, ...]
    not_reached: tuple[Cell, ...]
    seconds: float
    ended: str  # "whole", "budget" or "cancelled"


class KnownRows(Protocol):
    """Finished rows by their key; a dictionary is one."""

    def get(self, key: str, /) -> SweepRow | None: ...

    def __setitem__(self, key: str, row: SweepRow, /) -> None: ...


class RowFolder:
    """Finished rows as JSON files, one each, so that a sweep goes on where it was stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> SweepRow | None:
        """The row of a key; `None` if there is none, or its file cannot be read."""
        try:
            return SweepRow(**json.loads(self._path(key).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def __setitem__(self, key: str, row: SweepRow) -> None:
        """Keep a row; `UserError` where that cannot be done."""
        write_whole(self._path(key), _json(asdict(row)))

    def __len__(self) -> int:
        return len(list(self.folder.glob("*.json")))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def key_of(**what: Any) -> str:
    """A name for a row: the same for the same work, another for any other."""
    text = json.dumps({"version": VERSION, **what}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def report_of(done: Sweep) -> dict[str, Any]:
    """The sweep as plain values, the same on stdout and in `sweep.json`."""
    return {
        "model": done.model,
        "seconds": done.seconds,
        "ended": done.ended,
        "rows": [asdict(row) for row in done.rows],
        "not_reached": [asdict(cell) for cell in done.not_reached],
    }


def csv_text(rows: Sequence[SweepRow]) -> str:
    """One line a row, with a heading; empty where there is no value."""
    names = [f.name for f in fields(SweepRow)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = plain(asdict(row))
        values["overrides"] = " ".join(f"{k}={v}" for k, v in row.overrides.items())
        writer.writerow(["" if values[n] is None else values[n] for n in names])
    return out.getvalue()


def json_text(report: Mapping[str, Any]) -> str:
    """A report as JSON; what is infinite or not a number is null."""
    return _json(report).decode()


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(plain(values), indent=1, allow_nan=False).encode()


def pareto_front(costs: Sequence[float | None], gains: Sequence[float | None]) -> list[bool]:
    """Which points no other point beats: at most their cost, at least their gain, one better.

    Points that lack a number are never on the front; equal points are on it together.
    """
    best, at_cost = -math.inf, math.inf
    front = [False] * len(costs)
    pairs = list(zip(costs, gains, strict=True))
    known = [(c, -g, i) for i, (c, g) in enumerate(pairs) if c is not None and g is not None]
    for cost, loss, i in sorted(k for k in known if not math.isnan(k[0] + k[1])):
        if -loss > best or (-loss == best and cost == at_cost):
            front[i], best, at_cost = True, -loss, cost
    return front
