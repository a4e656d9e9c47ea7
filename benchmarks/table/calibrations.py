"""The calibrations that rows share, drawn once and kept in files."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from analysis.atomic import write_whole
from analysis.calibration import calibrate, load_calibration, save_calibration
from analysis.capture.store import load_capture, save_capture
from analysis.errors import UserError
from analysis.methods import METHODS
from analysis.methods.calibrated import SetOptions
from analysis.methods.job import Job
from analysis.methods.method import PlanOptions, make_config
from analysis.models.handle import ModelHandle
from analysis.progress import Progress
from analysis.quant.estimate import observed_for
from analysis.quant.plan import QuantPlan
from analysis.quant.run import needs_calibration
from analysis.records import Capture
from benchmarks.table.rows import CALIBRATIONS, Row
from benchmarks.table.sources import loaded_digest

SIZE, STEPS = 256, 20  # of the sets that plain rounding is compared on


@dataclass(frozen=True)
class Drawn:
    """A calibration, a name for it, and the seconds that drawing it took when it was drawn."""

    calibration: Any = None
    name: str = ""
    seconds: float = 0.0


def calibration_for(
    folder: Path, model: ModelHandle, row: Row, progress: Progress | None = None
) -> Drawn:
    """What a row is calibrated on, shared with rows that would draw the same; maybe nothing."""
    if row.calibration is not None:
        return _named(folder, model, row, progress)
    method = METHODS.get(row.method)
    config = make_config(method, row.preset, {}, row.without)
    plan = QuantPlan.parse(row.plan, **config.plan_options())
    if not needs_calibration(plan, model, method.learns):
        return Drawn()
    observed, job = observed_for(model, plan), Job(seed=row.seed, progress=progress)
    what = ["capture", loaded_digest(row.method), asdict(config), observed.trace.layers]
    if isinstance(config, SetOptions):
        # A set depends on its own options alone, whichever method and plan it is for.
        names = {f.name for f in fields(SetOptions)} - {f.name for f in fields(PlanOptions)}
        what = ["set", loaded_digest("sets"), {name: getattr(config, name) for name in names}]
    path = _path(folder, model, row.seed, what)
    return _kept(path, lambda: method.calibrate(observed, config, job))


def _named(folder: Path, model: ModelHandle, row: Row, progress: Progress | None) -> Drawn:
    """One of the sets that are compared with each other."""
    assert row.calibration is not None
    sampler, options = CALIBRATIONS[row.calibration]

    def draw() -> Any:
        return calibrate(
            model,
            sampler,
            size=SIZE,
            seed=row.seed,
            steps=STEPS,
            with_report=False,
            progress=progress,
            **options,
        )

    what = ["named", loaded_digest("sets"), sampler, options, SIZE, STEPS]
    return _kept(_path(folder, model, row.seed, what), draw)


def _path(folder: Path, model: ModelHandle, seed: int, what: list[Any]) -> Path:
    text = json.dumps([model.digest, *what], sort_keys=True, default=str)
    return folder / f"calibration-seed{seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _kept(path: Path, draw: Callable[[], Any]) -> Drawn:
    found = _read(path)
    if found is not None:
        return found
    started = time.perf_counter()
    calibration = draw()
    seconds = time.perf_counter() - started
    is_capture = isinstance(calibration, Capture)
    save: Callable[[Any, Path], Path] = save_capture if is_capture else save_calibration
    save(calibration, path.with_suffix(".safetensors"))
    notes = {"seconds": seconds, "is_capture": is_capture}
    write_whole(path.with_suffix(".json"), json.dumps(notes).encode())
    return Drawn(calibration, path.name, seconds)


def _read(path: Path) -> Drawn | None:
    """A calibration from its file; a spoilt one is drawn again."""
    try:
        notes = json.loads(path.with_suffix(".json").read_bytes())
        load: Callable[[Path], Any] = load_capture if notes["is_capture"] else load_calibration
        return Drawn(load(path.with_suffix(".safetensors")), path.name, notes["seconds"])
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None
