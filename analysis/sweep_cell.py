"""One configuration of a sweep: make the model, sample it, measure it."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from analysis.comparison import FRECHET_SHAPE
from analysis.methods import METHODS
from analysis.methods.method import make_config
from analysis.metrics.frechet import frechet_to_data
from analysis.metrics.image import WINDOW, psnr, ssim
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import sample
from analysis.progress import Progress, ShouldStop, report
from analysis.quant.model import QuantizedModel
from analysis.quant.plan import QuantPlan
from analysis.quant.run import quantize
from analysis.records import SamplingSpec
from analysis.sweep_calibrations import Calibrations
from analysis.sweep_rows import NONE, Cell, SweepRow, key_of

MEGABYTE = 1e6


@dataclass(frozen=True)
class Setting:
    """What all rows share."""

    model: ModelHandle
    spec: SamplingSpec
    preset: str
    overrides: dict[str, str]
    given: Calibrations
    keep: Path | None

    def plan(self, cell: Cell) -> QuantPlan:
        config = make_config(METHODS.get(cell.method), self.preset, {})
        return QuantPlan.parse(cell.plan, **config.plan_options(), overrides=self.overrides)

    def key(self, cell: Cell) -> str:
        """What decides the numbers of a row, as one name."""
        return key_of(
            model=self.model.digest,
            cell=cell,
            calibrated_on=self.given.digest(cell),
            spec=self.spec,
            preset=self.preset,
            overrides=list(self.overrides.items()),
        )


@dataclass
class Part:
    """A row's share of the sweep's progress: the first half for making, the second for sampling."""

    progress: Progress | None
    done: int
    rows: int
    cell: Cell
    reached: float = 0.0

    def of(self, stage: str) -> Progress:
        """Who listens to one stage of the row."""
        begin, end = {"quantizing": (0.0, 0.5), "sampling": (0.5, 1.0)}.get(stage, (0.5, 0.5))

        def told(done: int, total: int, text: str) -> None:
            share = begin + (end - begin) * done / max(total, 1)
            self.reached = max(self.reached, share)  # a stage may count from 0 more than once
            now = round(100 * (self.done + self.reached))
            named = f"row {self.done + 1} of {self.rows}, {self.cell.method} {self.cell.plan}"
            report(self.progress, min(now, 100 * self.rows), 100 * self.rows, f"{named}: {stage}")

        return told


def picture_values(reference: torch.Tensor, found: torch.Tensor) -> dict[str, Any]:
    """PSNR and SSIM to the float pictures, Frechet distances to the data, where they apply."""
    known = tuple(found.shape[1:]) == FRECHET_SHAPE and len(found) > 1
    return {
        "psnr_db": psnr(reference, found),
        "ssim": ssim(reference, found) if min(found.shape[-2:]) >= WINDOW else None,
        "frechet": frechet_to_data(found) if known else None,
        "frechet_float": frechet_to_data(reference) if known else None,
    }


@dataclass
class Bench:
    """Runs cells one after another; the float model is sampled once for all of them."""

    setting: Setting
    reference: torch.Tensor | None = None  # pictures of the float model, when needed first

    def run(self, blank: SweepRow, key: str, part: Part, stop: ShouldStop) -> SweepRow:
        started = time.perf_counter()
        quantized, drawing = self._quantize(blank.cell, key, part, stop)
        making = time.perf_counter() - started
        reference = self._reference(part, stop)
        started = time.perf_counter()
        found = sample(
            quantized.handle, self.setting.spec, progress=part.of("sampling"), should_stop=stop
        )
        seconds = making + drawing + time.perf_counter() - started
        return replace(
            blank,
            **picture_values(reference, found),
            seconds=seconds,
            size_mb=quantized.size_bytes / MEGABYTE,
            float_size_mb=quantized.float_size_bytes / MEGABYTE,
        )

    def _quantize(
        self, cell: Cell, key: str, part: Part, stop: ShouldStop
    ) -> tuple[QuantizedModel, float]:
        """The model, and the seconds that another row has spent on its calibration."""
        setting, making = self.setting, part.of("quantizing")
        calibration, drawing = None, 0.0
        if cell.calibration != NONE:
            calibration, drawing = setting.given.get(cell, making, stop)
        folder = None if setting.keep is None else setting.keep / key
        made = quantize(
            setting.model,
            cell.method,
            cell.plan,
            calibration,
            setting.preset,
            making,
            stop,
            setting.spec.seed,
            keep=folder,
            overrides=setting.overrides,
        )
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return made, drawing

    def _reference(self, part: Part, stop: ShouldStop) -> torch.Tensor:
        if self.reference is None:
            told = part.of("float pictures")
            self.reference = sample(
                self.setting.model, self.setting.spec, progress=told, should_stop=stop
            )
        return self.reference

    def blank(self, cell: Cell) -> SweepRow:
        plan, spec = QuantPlan.parse(cell.plan).base, self.setting.spec
        return SweepRow(
            cell.method,
            cell.plan,
            cell.calibration,
            weight_bits=plan.weight.bits,
            act_bits=plan.act.bits,
            preset=self.setting.preset,
            overrides=self.setting.overrides,
            samples=spec.samples,
            steps=spec.steps,
            seed=spec.seed,
            model=self.setting.model.name,
            model_digest=self.setting.model.digest,
        )
