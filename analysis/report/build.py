"""What a report says about a quantized model, in the order a reader asks."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from analysis.comparison import Comparison
from analysis.pictures import grid
from analysis.quant.model import QuantizedModel
from analysis.records import Array
from analysis.report import figures
from analysis.report.page import (
    folded,
    number,
    page,
    paragraph,
    picture,
    plot,
    section,
    table,
    tiles,
)
from analysis.runs import versions

MEGABYTE = 1e6
MOST_SHOWN = 64
GAIN = 4  # of the difference
BRIGHTER, DARKER = np.array([213, 94, 0]) / 255, np.array([0, 114, 178]) / 255


def build_report(model: QuantizedModel, comparison: Comparison) -> str:
    """The report as one HTML document that opens without a network.

    Args:
        comparison: of this model with its float one.
    """
    title = f"{model.handle.name}: {model.method}, {model.plan.text}"
    made = time.strftime("%Y-%m-%d %H:%M")
    head = (
        f"<h1>{escape(title)}</h1>"
        + paragraph(f"Quantization report of {made}. {model.plan}.")
        + tiles(_summary(model, comparison))
    )
    parts = [head, _pictures(comparison), _divergence(comparison), _layers(model)]
    parts += [_losses(model)] if model.losses else []
    parts += [_notes(model)] if model.notes else []
    parts += [_skipped(model)] if model.skipped else []
    return page(title, [*parts, _settings(model), _sampling(comparison), _versions(), _words()])


def _summary(model: QuantizedModel, comparison: Comparison) -> list[tuple[str, str, str]]:
    v = comparison.values
    n = f"N = {v['samples']}"
    size, whole = model.size_bytes / MEGABYTE, model.float_size_bytes / MEGABYTE
    return [
        ("Size", f"{size:.2f}", f"MB, float {whole:.2f} MB"),
        ("Smaller by", f"{whole / size:.1f}", "times"),
        ("PSNR", number(v["psnr_db"]), "dB"),
        ("SSIM", number(v["ssim"]), "of 1"),
        ("SQNR of the samples", number(v["sqnr_db"]), "dB"),
        ("Fréchet distance, float", number(v["frechet_float"]), n),
        ("Fréchet distance, quantized", number(v["frechet_quantized"]), n),
    ]


def _pictures(comparison: Comparison) -> str:
    reference, candidate = (x[:MOST_SHOWN] for x in (comparison.reference, comparison.candidate))
    n = len(reference)
    shown = "".join(
        [
            picture(grid(reference), f"Float, {n} samples"),
            picture(grid(candidate), "Quantized, from the same noise"),
            picture(
                grid(signed_difference(reference, candidate, GAIN)),
                f"Quantized minus float, {GAIN} times: orange brighter, blue darker",
            ),
        ]
    )
    return section(
        "Pictures",
        paragraph("Both models started from the same noise: what differs is the quantization's."),
        f'<div class="pictures">{shown}</div>',
    )


def signed_difference(reference: Array, candidate: Array, gain: float) -> Array:
    """Pictures [N, C, H, W] to [N, 3, H, W] in [0, 1]: white where equal."""
    change = (candidate - reference).mean(axis=1, keepdims=True)  # [N, 1, H, W]
    amount = np.clip(np.abs(change) * gain, 0, 1)
    ink = np.where(change > 0, BRIGHTER[:, None, None], DARKER[:, None, None])  # [N, 3, H, W]
    return 1 - amount * (1 - ink)


def _divergence(comparison: Comparison) -> str:
    values = comparison.values
    columns = [key for key in figures.PARTS if values.get(key)]
    rows = [
        [i + 1, *(100 * float(values[key][i]) for key in columns)]
        for i in range(len(values["divergence"]))
    ]
    return section(
        "Along the way",
        paragraph("How far the quantized run is from the float one after every sampling step."),
        plot(figures.divergence(values), "Distance of the two runs after every step"),
        folded(
            "The same as a table",
            table(
                "Distance in percent of |x|",
                ["Step", *(f"{figures.PARTS[key][0]} (%)" for key in columns)],
                rows,
            ),
        ),
    )


def _layers(model: QuantizedModel) -> str:
    known = [r.sqnr_db for r in model.layers if r.sqnr_db is not None and math.isfinite(r.sqnr_db)]
    middle = f"The middle layer has {np.median(known):.1f} dB. " if known else ""
    rows = [[r.name, r.weight_bits, r.act_bits, r.sqnr_db] for r in model.layers]
    return section(
        "Layers",
        paragraph(f"{middle}Noise of rounding weight and activation together, layer by layer."),
        plot(figures.layers(model.layers), "Signal-to-quantization-noise ratio of every layer"),
        folded(
            "Every layer as a table",
            table(
                f"{len(rows)} layers; 32 bits are float",
                ["Layer", "Weight bits", "Activation bits", "SQNR (dB)"],
                rows,
            ),
        ),
    )


def _losses(model: QuantizedModel) -> str:
    ends: dict[tuple[str, str], list[float]] = {}
    for point in model.losses:
        ends.setdefault((point.phase, point.unit), []).append(float(point.loss))
    rows = [[phase, unit, seen[0], seen[-1]] for (phase, unit), seen in ends.items()]
    return section(
        "Learning",
        paragraph("Loss of every block while it learned; each curve by its own largest value."),
        plot(figures.losses(model.losses), "Loss of every block"),
        folded(
            "First and last loss of every block",
            table("Losses", ["Phase", "Block", "First", "Last"], rows),
        ),
    )


def _notes(model: QuantizedModel) -> str:
    return section("What the method could not do", *map(paragraph, model.notes))


def _skipped(model: QuantizedModel) -> str:
    rows = list(model.skipped.items())
    return section("What stayed (partly) float", table("Reasons", ["Layer", "Why"], rows))


def _settings(model: QuantizedModel) -> str:
    identity = {
        "model": model.handle.name,
        "model_digest": model.model_digest,
        "method": model.method,
        "calibration digest": model.calibration or "none: no activation was quantized",
    }
    return section(
        "Settings",
        _pairs("Model and method", identity),
        _pairs("Plan", model.plan.to_dict()),
        _pairs("Options of the method", model.config),
    )


def _sampling(comparison: Comparison) -> str:
    spec = comparison.spec
    values = {
        "samples": spec.samples,
        "steps": spec.steps,
        "seed": spec.seed,
        "scheduler": spec.scheduler,
        "prompt": spec.prompt,
        "guidance_scale": spec.guidance_scale,
        "seconds, float": comparison.values["seconds_float"],
        "seconds, quantized (simulated integers)": comparison.values["seconds_quantized"],
    }
    return section("Sampling", _pairs("How the pictures were drawn", values))


def _versions() -> str:
    return section("Versions", _pairs("Software", versions()))


def _words() -> str:
    return section(
        "How to read this",
        paragraph(
            "SQNR is 10 log10 of signal power by error power: at 0 dB both are equally loud, and "
            "6 dB are one bit. PSNR is -10 log10 of the mean squared difference of pixels in "
            "0 to 1, its mean over the pictures. A Fréchet distance compares two sets of pictures "
            "as a whole, here in the features of a small classifier: it depends on N, and can "
            "be compared with distances of equal N from this program only."
        ),
        paragraph(
            "Speed is not measured: integers are simulated in floating point, so errors are "
            "those of the integer model and times are not."
        ),
    )


def _pairs(caption: str, values: Mapping[str, Any]) -> str:
    rows = [[name, _shown(value)] for name, value in _flat(values)]
    return table(caption, ["Name", "Value"], rows)


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Nested settings as one list: `base.weight.bits`."""
    out: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            value = {str(i + 1): item for i, item in enumerate(value)}
        if isinstance(value, Mapping):
            out += _flat(value, f"{name}.")
        else:
            out.append((name, value))
    return out


def _shown(value: Any) -> str:
    if value is None or value == () or value == []:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
