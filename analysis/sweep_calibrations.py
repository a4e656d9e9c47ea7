"""The calibrations of a sweep: given ones, and drawn ones, each drawn once for all its rows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from analysis.calibration.record import CalibrationSet
from analysis.calibration.samplers import SAMPLERS
from analysis.errors import UserError
from analysis.methods import METHODS
from analysis.methods.calibrated import SetOptions, draw
from analysis.methods.job import Job
from analysis.methods.method import make_config
from analysis.methods.rtn import capture_digest
from analysis.models.handle import ModelHandle
from analysis.progress import Progress, ShouldStop
from analysis.records import Capture
from analysis.sweep_rows import OWN, Cell

# Methods without a sampler of their own take sets as this one draws them.
DRAWN_AS = "ptq4dm"


@dataclass
class Calibrations:
    """What configurations are calibrated on, by the name in their cell."""

    model: ModelHandle
    sets: dict[str, Any]
    own: dict[str, Any]  # method -> its own calibration, where there is one already
    seed: int
    preset: str
    _drawn: dict[Any, tuple[Any, float]] = field(default_factory=dict)  # with its seconds

    def check(self, name: str) -> None:
        """Raise `UserError` unless there is such a calibration."""
        if name != OWN and name not in self.sets and name not in SAMPLERS:
            known = ", ".join([OWN, *self.sets, *SAMPLERS])
            raise UserError(
                f"There is no calibration {name!r}; choose among: {known}, or a folder that "
                "calibrate or capture wrote."
            )

    def digest(self, cell: Cell) -> str:
        """What a given calibration holds; empty for one that is drawn."""
        given = self.given(cell)
        return capture_digest(given) if isinstance(given, Capture | CalibrationSet) else ""

    def get(self, cell: Cell, progress: Progress, should_stop: ShouldStop) -> tuple[Any, float]:
        """The calibration of a cell, and the seconds that an earlier row has spent on it."""
        given = self.given(cell)
        if given is not None:
            return given, 0.0
        config, key = self.described(cell)
        if key in self._drawn:
            return self._drawn[key]
        started = time.perf_counter()
        job = Job(seed=self.seed, progress=progress, should_stop=should_stop)
        if isinstance(config, SetOptions):
            made = draw(self.model, config, job)
        else:
            made = METHODS.get(cell.method).calibrate(self.model, config, job)
        self._drawn[key] = made, time.perf_counter() - started
        return made, 0.0

    def given(self, cell: Cell) -> Any:
        """What a cell is calibrated on, if it is there already."""
        if cell.calibration == OWN:
            return self.own.get(cell.method)
        return self.sets.get(cell.calibration)

    def described(self, cell: Cell) -> tuple[Any, Any]:
        """The options that the calibration is drawn with, and a key for them."""
        method = METHODS.get(cell.method)
        options = {} if cell.calibration == OWN else {"sampler": cell.calibration}
        if options and not issubclass(method.config, SetOptions):
            method = METHODS.get(DRAWN_AS)
        config = make_config(method, self.preset, options)
        if isinstance(config, SetOptions):
            names = ("sampler", "shared_runs", "calibration_size", "calibration_steps")
            return config, tuple(getattr(config, name) for name in names)
        return config, method.name
