"""The cost of a sweep: every row made and sampled, calibrations and float pictures once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from analysis.budget import check_budget
from analysis.cost.probes import Probes
from analysis.cost.quantizing import drawing, making
from analysis.cost.record import Estimate, total
from analysis.cost.runs import found, sampled
from analysis.errors import UserError
from analysis.methods import METHODS
from analysis.methods.method import make_config
from analysis.models.trajectory import sampling_spec
from analysis.sweep import grid
from analysis.sweep_calibrations import Calibrations
from analysis.sweep_cell import Setting
from analysis.sweep_rows import NONE, OWN, Cell, KnownRows


def sweep_cost(
    probes: Probes,
    methods: Sequence[str] = ("rtn",),
    plans: Sequence[str] = ("W8A8",),
    calibrations: Sequence[str] = (OWN,),
    samples: int = 16,
    steps: int = 50,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    preset: str = "instant",
    overrides: Mapping[str, str] | None = None,
    sets: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
    budget: float | None = None,
    known: KnownRows | None = None,
) -> Estimate:
    """Of the rows that are not finished yet. A budget may end them sooner."""
    check_budget(budget)
    told = steps, samples, seed, scheduler, prompt, guidance_scale
    spec = sampling_spec(probes.model, *told)
    given = Calibrations(probes.model, dict(sets or {}), dict(own or {}), seed, preset)
    setting = Setting(probes.model, spec, preset, dict(overrides or {}), given, None)
    cells = grid(setting, methods, plans, calibrations)
    rows = {cell: known.get(setting.key(cell)) for cell in cells} if known is not None else {}
    left = [cell for cell in cells if (row := rows.get(cell)) is None or row.error]
    if not left:
        return found(probes, 0.0, 0, "nothing is left to do")
    stages = [sampled(probes, spec, name="float pictures")]
    stages += _calibrations(probes, given, left, seed)
    for cell in left:
        with suppress(UserError):  # such a row fails at once, and says why
            stages += _row(probes, setting, cell)
    whole = total(stages)
    return whole if budget is None else replace(whole, seconds=min(whole.seconds, budget))


def _row(probes: Probes, setting: Setting, cell: Cell) -> list[Estimate]:
    """Of making one row's model and sampling it."""
    plan, seed = setting.plan(cell), setting.spec.seed
    config = make_config(METHODS.get(cell.method), setting.preset, {})
    calibration = _calibrated_on(setting.given, cell)
    made = making(probes, cell.method, config, plan, calibration, seed)
    pictures = sampled(probes, setting.spec, plan=plan, name="pictures")
    return [*made, pictures]


def _calibrations(
    probes: Probes, given: Calibrations, cells: Sequence[Cell], seed: int
) -> list[Estimate]:
    """Of drawing what cells are calibrated on, each once."""
    drawn = {}
    for cell in cells:
        if cell.calibration != NONE and given.given(cell) is None:
            config, key = given.described(cell)
            drawn[key] = config
    return [drawing(probes, config, seed) for config in drawn.values()]


def _calibrated_on(given: Calibrations, cell: Cell) -> Any:
    """What is given for a cell, or the configuration that describes it."""
    if cell.calibration == NONE:
        return None
    known = given.given(cell)
    return given.described(cell)[0] if known is None else known
