"""What Capture, Apply and Sweep will cost, as the library estimates it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.progress import Progress, ShouldStop
from workbench.cost import Measure
from workbench.heavy import load_heavy
from workbench.kept import set_to_use
from workbench.page import Page
from workbench.recipe import config_of, options_of, overrides_of, parts_of
from workbench.running import loaded, model_of
from workbench.session import Session
from workbench.views.sweep_work import known_rows


def estimated(
    model: Any, progress: Progress, should_stop: ShouldStop, work: str, **arguments: Any
) -> Any:
    """The library's estimate; a model keeps its probes for as long as it is loaded."""
    from analysis.cost import Probes, estimate

    probes = vars(model).setdefault("probes", Probes(model))
    probes.should_stop = should_stop
    try:
        return estimate(model, work, probes, progress, **arguments)
    finally:
        probes.should_stop = None  # it leads to the visitor, who may leave before the model does


def capture_cost(
    page: Page, session: Session, model: str, steps: Any, samples: Any, seed: Any, scheduler: str
) -> Measure:
    """Of "Capture now"."""
    wanted = page.settings.model if page.settings.demo else (model or "").strip()
    told: dict[str, Any] = {"steps": int(steps), "samples": int(samples), "seed": int(seed)}

    def measure(progress: Progress, should_stop: ShouldStop) -> Any:
        load_heavy(progress, should_stop)
        own = scheduler == "default"
        handle = loaded(wanted, page.models)
        return estimated(
            handle, progress, should_stop, "capture", scheduler=None if own else scheduler, **told
        )

    return measure


def quantize_cost(page: Page, session: Session) -> Measure:
    """Of Apply, for the settings of this moment."""
    selection, overrides, drawn = session.selection, overrides_of(session), set_to_use(session)
    opened = session.opened

    def measure(progress: Progress, should_stop: ShouldStop) -> Any:
        load_heavy(progress, should_stop)
        from analysis.cost.record import total
        from analysis.layer_errors import SAMPLES, STEPS
        from analysis.methods.calibrated import SetOptions

        own = None if isinstance(config_of(selection), SetOptions) else opened.capture
        model = model_of(session, page.models)
        made = estimated(
            model,
            progress,
            should_stop,
            "quantize",
            method=selection.method,
            plan=selection.plan,
            calibration=drawn or own,
            preset=selection.preset,
            without=parts_of(selection.without),
            overrides=overrides,
            **options_of(selection.options),
        )
        # Apply measures every layer afterwards: the float one, the rounded one, the difference.
        measured = estimated(
            model, progress, should_stop, "sample", steps=3 * STEPS, samples=SAMPLES
        )
        return total([made, measured])

    return measure


def sweep_cost(
    page: Page,
    session: Session,
    methods: Sequence[str],
    plans: Sequence[str],
    sets: Sequence[str],
    samples: Any,
    steps: Any,
    seconds: Any,
    apart: bool,
    preset: str,
) -> Measure:
    """Of Sweep: the rows that are not finished, as far as the time budget goes."""
    overrides = overrides_of(session) if apart else {}

    def measure(progress: Progress, should_stop: ShouldStop) -> Any:
        load_heavy(progress, should_stop)
        return estimated(
            model_of(session, page.models),
            progress,
            should_stop,
            "sweep",
            methods=methods,
            plans=plans,
            calibrations=sets,
            samples=int(samples),
            steps=int(steps),
            preset="instant" if page.settings.demo else preset,
            overrides=overrides,
            own={"rtn": session.opened.capture},
            budget=float(seconds),
            known=known_rows(page, session),
        )

    return measure
