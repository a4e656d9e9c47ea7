"""What Quantize says in words and tiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from analysis.records import Array
from workbench.figures.style import number
from workbench.heavy import is_loaded
from workbench.kept import kept_blocks, settings_key
from workbench.recipe import method_of
from workbench.selection import Selection
from workbench.session import Session
from workbench.variants import applied

MEGABYTE = 1e6
MOST_SKIPPED = 3  # layers whose reasons are told
MEASURED = (
    "Every layer was measured on the float model's own activations: the points show what was "
    "predicted of its input against what came out."
)
UNMEASURED = (
    "Its layers were not measured, because that was cancelled; press Apply to measure them."
)
LOADING = {"title": "Loading the methods …", "text": "Their defaults decide what is predicted."}


def prediction(session: Session, values: Array) -> dict[str, Any]:
    """The prediction in words: the middle and the worst layer."""
    plan, names = session.selection.plan, session.opened.names
    finite = np.isfinite(values)
    if not finite.any():
        return {
            "title": f"Prediction for {plan}",
            "text": "Activations stay float, so nothing is lost in them. What the weights lose is "
            "known after Apply.",
        }
    worst = int(np.argmin(np.where(finite, values, np.inf)))
    return {
        "title": f"Prediction for {plan}",
        "text": "Rounding noise of the activations alone, all timesteps under one grid a layer. "
        "What the weights add is known after Apply. Click a point to select its layer.",
        "items": [
            tile("Middle layer", f"{np.median(values[finite]):.1f}", "dB"),
            tile("Worst layer", f"{values[worst]:.1f}", "dB", names[worst]),
            tile("Below 10 dB", f"{int((values[finite] < 10).sum())}", f"of {len(names)} layers"),
        ],
    }


def result(session: Session) -> dict[str, Any]:
    """Size and quality of the model that was made last."""
    quantized, variant = session.quantized, applied(session)
    if quantized is None or variant is None:
        return {"title": "Quantized model", "text": "None yet: press Apply to make one."}
    size, whole = quantized.size_bytes / MEGABYTE, quantized.float_size_bytes / MEGABYTE
    out = {n: e.output_db for n, e in variant.errors.items() if np.isfinite(e.output_db)}
    worst = min(out, key=lambda name: out[name], default="")
    own = len(quantized.plan.overrides)
    text = str(replace(quantized.plan, overrides=()))
    text += f", {own} layer{'s' if own > 1 else ''} with bits of their own" if own else ""
    text += ". Open Compare to see its pictures."
    if quantized.skipped:
        some = len(quantized.skipped)
        text += f" {some} layer{'s' if some > 1 else ''} stayed (partly) float."
    return {
        "title": f"Quantized model: {quantized.method}, {quantized.plan.text}",
        "text": f"{text} {MEASURED if variant.errors else UNMEASURED}",
        "items": [
            tile("Size", f"{size:.2f}", "MB", f"float: {whole:.2f} MB"),
            tile("Smaller by", f"{whole / size:.1f}", "times"),
            tile("Middle layer, output", _middle(out), "dB"),
            tile("Worst layer, output", number(out[worst]) if out else "n/a", "dB", worst),
        ],
        "notes": remarks(quantized),
    }


def remarks(quantized: Any) -> list[str]:
    """What the method could not do, and the first layers that stayed float with their reasons."""
    skipped = [f"{name}: {reason}." for name, reason in quantized.skipped.items()]
    more = len(skipped) - MOST_SKIPPED
    rest = [f"{more} more layers stayed (partly) float."] if more > 0 else []
    return [*quantized.notes, *skipped[:MOST_SKIPPED], *rest]


def _middle(out: dict[str, float]) -> str:
    return number(float(np.median(list(out.values())))) if out else "n/a"


def note(session: Session) -> dict[str, Any]:
    """What Apply would go on from, and what was passed over or had to go."""
    drawn = session.drawn
    passed_over = drawn.get("passed_over", "")
    sentences = [passed_over and f"Passed over: {passed_over}", drawn.get("made_room", "")]
    blocks = kept_blocks(session, settings_key(session))
    if blocks:
        are = "finished block is" if blocks == 1 else "finished blocks are"
        sentences.append(f"{blocks} {are} kept: Apply with these settings goes on from there.")
    return {"text": " ".join(s for s in sentences if s)}


def preset(selection: Selection) -> str:
    """What the chosen preset sets, in the options' own names."""
    if not is_loaded():
        return ""
    chosen = method_of(selection).presets[selection.preset]
    sets = ", ".join(f"{name} = {value}" for name, value in chosen.items())
    return f"Sets {sets}." if sets else "The method's own defaults."


def calibrate_on(session: Session) -> Any:
    """The choice between a set drawn in Calibration and the method's own; hidden without one."""
    drawn = session.calibration
    if drawn is None:
        return gr.Radio(visible=False)
    own = "the open capture" if session.selection.method == "rtn" else "a set the method draws"
    choices = [
        (f"the set of Calibration: {drawn.sampler}, {drawn.size} samples", "set"),
        (own, "own"),
    ]
    value = session.drawn.get("calibrate_on", "set")
    return gr.Radio(choices=choices, value=value, visible=True)


def tile(name: str, value: str, unit: str, note: str = "") -> dict[str, str]:
    """A number with its name and unit, for `facts`."""
    return {"name": name, "value": value, "unit": unit, "note": note}
