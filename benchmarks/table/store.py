"""Finished rows on disk: one JSON file each, found again only while its code is the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analysis.atomic import write_whole
from analysis.console import plain
from benchmarks.table.rows import Row

VERSION = 2  # of what is measured and how; raising it makes all rows stale


@dataclass(frozen=True)
class Settings:
    """What all rows of a table share."""

    model: str = "fashion"
    model_digest: str = ""
    samples: int = 1000
    steps: int = 10  # every timestep of these is one of the 20 that calibration sees
    device: str = "cpu"
    version: int = VERSION


@dataclass(frozen=True)
class Record:
    """What was measured of a row. What is infinite or does not apply is `None`."""

    row: Row
    settings: Settings
    values: Mapping[str, float | None]  # psnr_db, ssim, sqnr_db, frechet, file_bytes
    seconds: Mapping[str, float]  # by phase: calibrate, quantize, save, sample, measure
    calibration: str = ""  # which drawn calibration it used: rows that share one name one
    made: Mapping[str, str] = field(default_factory=dict)  # commit, versions, threads
    skipped: Mapping[str, str] = field(default_factory=dict)  # layer -> why it stayed float
    stale: bool = False  # made by other code than there is now; never stored

    @property
    def seconds_to_quantize(self) -> float:
        """Calibration included, also where another row had drawn it."""
        return self.seconds.get("calibrate", 0.0) + self.seconds.get("quantize", 0.0)


def write_record(folder: Path, record: Record, source: str) -> Path:
    """Write a record under its key; `UserError` where that cannot be done."""
    path = folder / f"{record.row.slug}.{_key(record.row, record.settings, source)}.json"
    content = plain({k: v for k, v in asdict(record).items() if k != "stale"})
    write_whole(path, json.dumps(content, indent=1, allow_nan=False).encode())
    return path


def read_record(
    folder: Path, row: Row, settings: Settings, source: str, keep_stale: bool = False
) -> Record | None:
    """The record of a row made by this code; with `keep_stale` else the newest by other code.

    A file that cannot be read counts as none: the row is run again.
    """
    found = _read(folder / f"{row.slug}.{_key(row, settings, source)}.json", False)
    if found is not None or not keep_stale:
        return found
    paths = sorted(folder.glob(f"{row.slug}.*.json"), key=lambda p: p.stat().st_mtime)
    others = (_read(path, True) for path in reversed(paths))
    return next((r for r in others if r is not None and r.settings == settings), None)


def _key(row: Row, settings: Settings, source: str) -> str:
    text = json.dumps([asdict(row), asdict(settings), source], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _read(path: Path, stale: bool) -> Record | None:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        row = content.pop("row")
        return Record(
            row=Row(**{**row, "without": tuple(row["without"])}),
            settings=Settings(**content.pop("settings")),
            stale=stale,
            **content,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
