"""One row: make the model, sample it, measure it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch

import analysis
from analysis.console import progress_bar
from analysis.methods import METHODS
from analysis.models.handle import ModelHandle
from analysis.progress import Progress
from analysis.quant.model import QuantizedModel
from benchmarks.table.calibrations import calibration_for
from benchmarks.table.measure import (
    Clock,
    float_bytes,
    float_pictures,
    held_out,
    one_step_sqnr_db,
    picture_values,
    pictures,
    quantized_bytes,
)
from benchmarks.table.rows import Row
from benchmarks.table.sources import commit, loaded_digest
from benchmarks.table.store import Record, Settings, read_record

INPUT_BITS = 16  # of x_t for all: at 8 its rounding would outweigh what the methods differ in


@dataclass(frozen=True)
class Bench:
    """What all rows share: a model, settings, and the folder with what is finished."""

    model: ModelHandle
    settings: Settings
    folder: Path
    keep_stale: bool = False

    def record(self, row: Row) -> Record | None:
        """The finished record of a row, if there is one."""
        source = loaded_digest(row.method)
        return read_record(self.folder, row, self.settings, source, self.keep_stale)


def is_there(row: Row) -> bool:
    """Whether the method of a row exists."""
    return row.is_float or row.method in METHODS


def method_parts() -> dict[str, tuple[str, ...]]:
    """The parts of every method that can be left out."""
    return {name: tuple(METHODS.get(name).parts) for name in METHODS}


def run_row(bench: Bench, row: Row) -> Record:
    """Make, sample and measure the model of one row."""
    with progress_bar(row.slug) as progress:
        run = _run_float if row.is_float else _run_quantized
        return run(bench, row, progress)


def _run_float(bench: Bench, row: Row, progress: Progress) -> Record:
    clock = Clock()
    with clock.phase("sample"):
        found = float_pictures(bench.folder, bench.model, bench.settings, row.seed, progress)
    with clock.phase("measure"):
        values = picture_values(None, found)
    values["file_bytes"] = float_bytes(bench.model)
    return Record(row, bench.settings, values, clock.seconds, made=_made())


def _run_quantized(bench: Bench, row: Row, progress: Progress) -> Record:
    clock = Clock()
    model, settings, folder = bench.model, bench.settings, bench.folder
    drawn = calibration_for(folder, model, row, progress)
    clock.seconds["calibrate"] = drawn.seconds
    with clock.phase("quantize"):
        quantized = _quantize(model, row, drawn.calibration, progress)
    with clock.phase("save"):
        size = quantized_bytes(quantized)
    with clock.phase("float"):
        reference = float_pictures(folder, model, settings, row.seed, progress)
        held = held_out(folder, model, settings)
    with clock.phase("sample"):
        found = pictures(quantized.handle, settings, row.seed, progress)
    with clock.phase("measure"):
        values = picture_values(reference, found)
        values["sqnr_db"] = one_step_sqnr_db(quantized.handle, held, settings.steps)
    values["file_bytes"] = size
    skipped = dict(quantized.skipped)
    return Record(row, settings, values, clock.seconds, drawn.name, _made(), skipped)


def _quantize(model: ModelHandle, row: Row, calibration: Any, progress: Progress) -> QuantizedModel:
    return analysis.quantize(
        model,
        row.method,
        row.plan,
        calibration,
        row.preset,
        progress,
        seed=row.seed,
        without=row.without,
        input_bits=INPUT_BITS,
    )


def _made() -> dict[str, str]:
    """What a record was made with."""
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "threads": str(torch.get_num_threads()),
    }
