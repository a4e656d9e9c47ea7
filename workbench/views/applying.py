"""The work behind Apply: quantize, measure every layer, file the model for Compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from analysis.errors import Cancelled, UserError
from analysis.progress import Progress, ShouldStop
from workbench.heavy import is_loaded, load_heavy
from workbench.jobs import Work
from workbench.kept import folder_of, forget, set_to_use, settings_key
from workbench.page import Page, Settings, check_whole
from workbench.prediction import predicted
from workbench.recipe import config_of, method_of, options_of, overrides_of, parts_of, title_of
from workbench.running import model_of
from workbench.selection import Selection
from workbench.session import Session
from workbench.variants import Variant, add, memory_of, next_number

MOST_LOSSES = 20_000  # points that are kept of one Apply
CAPPED = {"calibration_size": "most_samples", "calibration_steps": "most_steps"}  # in the demo


def quantize_work(page: Page, session: Session) -> Work:
    """The work behind Apply, for the settings of this moment; `UserError` for wrong ones."""
    wrong = session.drawn.get("wrong") or {}
    if wrong:
        raise UserError(next(iter(wrong.values()))[1])
    if is_loaded():  # else the work itself finds out: loading here would hold up all visitors
        check_config(config_of(session.selection), page.settings)
    selection, overrides = session.selection, overrides_of(session)
    key, drawn, opened = settings_key(session), set_to_use(session), session.opened

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy(progress, should_stop)
        from analysis.methods.calibrated import SetOptions
        from analysis.quant.run import quantize

        config = config_of(selection)
        check_config(config, page.settings)
        model = model_of(session, page.models)
        session.losses = []
        # Methods that calibrate on a set draw their own: a capture holds no samples.
        own = None if isinstance(config, SetOptions) else opened.capture
        quantized = quantize(
            model,
            method=selection.method,
            plan=selection.plan,
            calibration=drawn or own,
            preset=selection.preset,
            without=parts_of(selection.without),
            keep=folder_of(session, key),
            on_loss=_listener(session.losses),
            overrides=overrides,
            progress=progress,
            should_stop=should_stop,
            **options_of(selection.options),
        )
        forget(session, key)
        session.losses = list(quantized.losses)
        file(session, selection, model, quantized, progress, should_stop)

    return work


def file(
    session: Session,
    selection: Selection,
    model: Any,
    quantized: Any,
    progress: Progress,
    should_stop: ShouldStop,
) -> None:
    """Measure a quantized model layer by layer, and keep it for Compare.

    Raises:
        Cancelled: when `should_stop` says so while it is measured; the model is kept.
    """
    from analysis.layer_errors import layer_errors

    errors, stopped = {}, None
    try:
        errors = layer_errors(model, quantized, progress=progress, should_stop=should_stop)
    except Cancelled as end:
        stopped = end
    title = title_of(selection, len(quantized.plan.overrides), method_of(selection).title)
    opened = session.opened
    values = predicted(opened, quantized.plan).tolist()
    variant = Variant(
        number=next_number(session),
        title=title,
        origin=quantized.model_digest,
        model=model,
        quantized=quantized,
        predicted=dict(zip(opened.names, values, strict=True)),
        errors=errors,
        bytes=memory_of(quantized),
    )
    session.drawn["made_room"] = add(session, variant)
    session.model, session.quantized, session.comparison = model, quantized, None
    if stopped is not None:
        raise stopped


def check_config(config: Any, settings: Settings) -> None:
    """Raise `UserError` where a page for strangers would have to calibrate for too long."""
    if settings.demo:
        for name, limit in CAPPED.items():
            if hasattr(config, name):
                check_whole(name, getattr(config, name), 1, getattr(settings, limit))


def _listener(heard: list[Any]) -> Callable[[Any], None]:
    """Keeps the losses that a method tells, up to a limit."""

    def listen(point: Any) -> None:
        if len(heard) < MOST_LOSSES:
            heard.append(point)

    return listen
