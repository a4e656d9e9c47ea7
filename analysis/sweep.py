"""Methods x plans x calibrations: each configuration quantized, sampled and measured.

The module can be called: `analysis.sweep(model)` is the function of that name in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis.budget import BUDGET, CANCELLED, WHOLE, Clock, check_budget
from analysis.callable_module import make_callable
from analysis.errors import Cancelled, UserError
from analysis.methods import METHODS
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import sampling_spec
from analysis.progress import Progress, ShouldStop, report
from analysis.quant.plan import QuantPlan
from analysis.quant.run import needs_calibration
from analysis.sweep_calibrations import Calibrations
from analysis.sweep_cell import Bench, Part, Setting
from analysis.sweep_rows import NONE, OWN, Cell, KnownRows, Sweep, SweepRow

OnRow = Callable[[SweepRow], None]


def sweep(
    model: ModelHandle,
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
    keep: Path | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    on_row: OnRow | None = None,
) -> Sweep:
    """Quantize and sample every configuration, all from the same noise.

    A configuration that fails keeps its row, with the reason. Calibrations are drawn once for
    all rows that share one.

    Args:
        calibrations: "own", a sampler (`analysis.calibration.SAMPLERS`), or a name in `sets`.
            A configuration that calibrates on nothing is run once, as "none".
        overrides: glob -> plan text, for every plan.
        sets: captures and calibration sets by the name used in `calibrations`.
        own: method -> the calibration that is its own, where one is there already.
        budget: seconds; a row that would not fit is not begun, one that overruns is given up.
            The first row that runs is never cut short.
        known: finished rows; those that ran without an error are not run again.
        keep: folder for finished blocks of methods that learn, for a row that was stopped.
        on_row: told every row as soon as there is one.

    Returns:
        What ran, also when `should_stop` ends it: `ended` says so.

    Raises:
        UserError: for names and numbers that make no sense, and when every row fails.
    """
    check_budget(budget)
    spec = sampling_spec(model, steps, samples, seed, scheduler, prompt, guidance_scale)
    given = Calibrations(model, dict(sets or {}), dict(own or {}), seed, preset)
    setting = Setting(model, spec, preset, dict(overrides or {}), given, keep)
    cells = grid(setting, methods, plans, calibrations)
    run = _Run(Bench(setting), cells, Clock(budget, should_stop), progress)
    run.all(known if known is not None else {}, on_row)
    done = run.outcome()
    if done.rows and not done.not_reached and all(row.error for row in done.rows):
        first = done.rows[0]
        raise UserError(
            f"Every run of the sweep failed; the first, {first.method} {first.plan}, because: "
            f"{first.error}"
        )
    return done


def grid(
    setting: Setting, methods: Sequence[str], plans: Sequence[str], calibrations: Sequence[str]
) -> list[Cell]:
    """All configurations, plan by plan, each once.

    Raises:
        UserError: for names that do not exist, and where there is nothing to run.
    """
    if not (methods and plans and calibrations):
        raise UserError("A sweep needs at least one method, one plan and one calibration.")
    for name in calibrations:
        setting.given.check(name)
    cells = []
    for text in plans:
        for method in methods:
            for calibration in calibrations:
                cell = Cell(method, QuantPlan.parse(text).text, calibration)
                learns = METHODS.get(method).learns
                needed = needs_calibration(setting.plan(cell), setting.model, learns)
                cells.append(cell if needed else replace(cell, calibration=NONE))
    return list(dict.fromkeys(cells))


@dataclass
class _Run:
    """A sweep on its way."""

    bench: Bench
    cells: list[Cell]
    clock: Clock
    progress: Progress | None
    rows: dict[Cell, SweepRow] = field(default_factory=dict)
    fresh: int = 0  # rows that ran now, in contrast to those taken over
    ended: str = WHOLE

    def all(self, known: KnownRows, on_row: OnRow | None) -> None:
        """Every cell in turn, for as long as there is time; finished rows are taken over."""
        for done, cell in enumerate(self.cells):
            key = self.bench.setting.key(cell)
            row = known.get(key)
            if row is None or row.error:
                row = self._next(cell, key, done)
                if row is None:
                    continue  # later rows may be finished already
                self.fresh += 1
                if row.error is None:
                    known[key] = row
            self.rows[cell] = row
            if on_row is not None:
                on_row(row)
        if self.ended == WHOLE:
            whole = 100 * len(self.cells)
            report(self.progress, whole, whole, "all rows are there")

    def outcome(self) -> Sweep:
        """What is there, and what is not."""
        missing = tuple(cell for cell in self.cells if cell not in self.rows)
        rows = tuple(self.rows[cell] for cell in self.cells if cell in self.rows)
        return Sweep(self.bench.setting.model.name, rows, missing, self.clock.seconds, self.ended)

    def _next(self, cell: Cell, key: str, done: int) -> SweepRow | None:
        """Run a cell; `None` where the time is up before or while it runs."""
        if self.ended == WHOLE:
            first = not self.fresh
            verdict = self.clock.verdict(self._expected(cell))
            if verdict == CANCELLED or (verdict == BUDGET and not first):
                self.ended = verdict
            else:
                return self._guarded(cell, key, done, first)
        return None

    def _expected(self, cell: Cell) -> float:
        """Seconds that the method's last row took."""
        alike = [row for row in self.rows.values() if row.method == cell.method]
        return alike[-1].seconds if alike else 0.0

    def _guarded(self, cell: Cell, key: str, done: int, first: bool) -> SweepRow | None:
        def stop() -> bool:
            verdict = self.clock.verdict()
            return verdict == CANCELLED or (verdict == BUDGET and not first)

        blank = self.bench.blank(cell)
        try:
            return self.bench.run(
                blank, key, Part(self.progress, done, len(self.cells), cell), stop
            )
        except Cancelled:
            self.ended = self.clock.verdict() or CANCELLED
            return None
        except UserError as error:
            return replace(blank, error=str(error))
        except MemoryError:
            return replace(blank, error="There is not enough memory for this; take fewer samples.")
        except Exception as error:  # one row's fault must not cost the others
            said = (str(error).strip().splitlines() or [""])[0][:200]
            return replace(blank, error=f"It failed unexpectedly ({type(error).__name__}: {said}).")


make_callable(__name__)
