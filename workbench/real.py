"""Running a visitor's quantized model in integers: the work, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis.errors import UserError
from analysis.extra import missing, need
from analysis.progress import Progress, ShouldStop
from workbench.forms import with_value
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import Page, check_whole
from workbench.selection import Selection
from workbench.session import Session
from workbench.variants import Variant

# As in `analysis.backends`, which would load torch before the page is there (tested to agree).
RUNTIMES = {
    "openvino": ("OpenVINO", ("onnx", "openvino")),
    "onnxruntime": ("ONNX Runtime", ("onnx", "onnxruntime")),
}


@dataclass(frozen=True, eq=False)
class RealRun:
    """What is kept of `analysis.backends.compare.compare_real`: numbers, no pictures."""

    label: str
    backend: str
    values: Mapping[str, Any]  # of the comparison and of the runtime
    size: int  # bytes of the simulated model, weights packed at their bits


def looked_at(session: Session) -> Variant | None:
    """The model that Compare looks at."""
    number = session.drawn.get("looked")
    found = [v for v in session.variants if v.number == number]
    return (found or session.variants or [None])[-1]


def real_run(session: Session) -> RealRun | None:
    """The last run of the model that is looked at, in the runtime that is set."""
    variant = looked_at(session)
    if variant is None:
        return None
    found: RealRun | None = session.real.get((variant.number, session.selection.backend))
    return found


def absent(backend: str) -> list[str]:
    """Which packages of a runtime are not installed."""
    return missing(*RUNTIMES[backend][1])


def real_work(page: Page, session: Session, samples: Any, steps: Any, seed: Any) -> Work:
    """The work behind Run in integers; `UserError` for what cannot be run."""
    variant, selection, settings = looked_at(session), session.selection, page.settings
    title, packages = RUNTIMES[selection.backend]
    need(title, *packages)
    if variant is None:
        raise UserError("There is no quantized model yet: open Quantize and press Apply first.")
    check_whole("steps", steps, 1, settings.most_steps)
    check_whole("samples", samples, 1, settings.most_samples)
    check_whole("seed", seed, 0, 2**32)

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy(progress, should_stop)
        from analysis.backends import rest_options
        from analysis.backends.compare import compare_real

        done = compare_real(
            variant.model,
            variant.quantized,
            selection.backend,
            samples=int(samples),
            steps=int(steps),
            seed=int(seed),
            options=rest_options(selection.rest),
            progress=progress,
            should_stop=should_stop,
        )
        values = {**done.comparison.values, **done.values}
        run = RealRun(variant.label, selection.backend, values, variant.quantized.size_bytes)
        session.real[variant.number, selection.backend] = run

    return work


def with_int8_profile(selection: Selection) -> Selection:
    """The settings of Quantize with the plan and the options that integer kernels take."""
    load_heavy()
    from analysis.int8 import int8_options

    selection = replace(selection, weight_bits=8, act_bits=8)
    for name, value in int8_options().items():
        selection = with_value(selection, name, value)
    return selection
