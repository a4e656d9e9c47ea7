"""What the run in integers says in words and tables."""

from __future__ import annotations

from typing import Any

from analysis.extra import REQUIREMENTS
from workbench.figures.style import number
from workbench.real import RUNTIMES, RealRun, absent, looked_at, real_run
from workbench.session import Session
from workbench.views.quantize_says import tile

MEGABYTE = 1e6
REAL, SIMULATED, FLOAT = "● real", "○ simulated", "float"  # badges
WORK = {
    "integer": ("Integer products", "convolutions, linear maps, attention"),
    "floating": ("Float products", "layers that did not run in int8"),
    "attention": ("Fused attention", "one operation; it does not tell how it multiplies"),
    "normalization": ("Normalization", "float"),
    "elementwise": ("Elementwise", "activation functions, sums, rounding to grids"),
    "moving": ("Moving data", "copies, conversions, other layouts"),
}
PROFILE = "In Quantize, “Set the int8 profile” chooses a plan that they take."


def head(session: Session) -> dict[str, Any]:
    """What was measured, or what to do first."""
    title, _ = RUNTIMES[session.selection.backend]
    gone = absent(session.selection.backend)
    if gone:
        return {
            "title": f"{title} is not installed",
            "text": f"Real int8 is an optional extra: {' and '.join(gone)} missing. Run "
            f"“pip install -r {REQUIREMENTS}” where the page was started, then start it again.",
        }
    run, variant = real_run(session), looked_at(session)
    if variant is None:
        return {
            "title": "No model to run yet",
            "text": "First make one: open Quantize, press “Set the int8 profile” and Apply.",
        }
    if run is None:
        return {
            "title": f"Simulated so far: {variant.label}",
            "text": f"The button runs this model in {title}, with the pictures, steps and seed set "
            f"above, and measures it beside the float and the simulated one. {_fit(variant)}",
        }
    return _measured(run)


def _fit(variant: Any) -> str:
    """How many layers integer kernels can take, and what would help."""
    from analysis.int8 import integer_kernels

    rows = integer_kernels(variant.quantized)
    able = sum(row.integer for row in rows)
    said = f"Integer kernels can take {able} of its {len(rows)} layers and products of attention."
    return said if able > len(rows) // 2 else f"{said} {PROFILE}"


def _measured(run: RealRun) -> dict[str, Any]:
    v = run.values
    ran, of = v["integer_layers"], len(v["layers"])
    faster = v["seconds_float"] / v["seconds_quantized"]
    items = [
        tile("Eager float / this", f"{faster:.2f}", "times", "seconds of the same pictures"),
        tile("Ran in int8", f"{ran}", f"of {of}", "layers and products of attention"),
        _decibels("PSNR to the simulation", v["psnr_simulated_db"], f"N = {v['samples']}"),
    ]
    if v["symmetry"]:
        items.append(_cost(v["symmetry"], v["samples"]))
    title, _ = RUNTIMES[run.backend]
    return {
        "title": f"{'Real int8' if ran else 'No layer ran in int8'}: {run.label}",
        "text": f"{title}, {v['rest']} for what is no integer. {v['steps']} steps, N = "
        f"{v['samples']} pictures; compiling took {number(v['seconds_compiling'])} s more, once."
        + ("" if ran else f" {PROFILE}"),
        "items": items,
        "notes": v["notes"],
    }


def _cost(cost: Any, samples: int) -> dict[str, str]:
    """What symmetric weights lose against asymmetric ones."""
    both = (
        f"{number(cost['symmetric_db'])} against {number(cost['asymmetric_db'])} dB PSNR to float"
    )
    return _decibels(
        "Symmetric weights cost",
        cost["cost_db"],
        f"{both} with asymmetric ones; rounded to nearest, N = {samples}",
    )


def _decibels(name: str, value: float, note: str) -> dict[str, str]:
    shown = "equal" if value == float("inf") else f"{value:.1f}"
    return tile(name, shown, "" if shown == "equal" else "dB", note)


def shares(session: Session) -> dict[str, Any]:
    """Which share of a step's time is integer work, and what the rest is."""
    run = real_run(session)
    if run is None or not run.values["work"]:
        return {}
    work = run.values["work"]
    items = [
        tile(name, f"{100 * work[key]:.0f}", "%", note)
        for key, (name, note) in WORK.items()
        if work[key] > 0
    ]
    return {
        "title": f"Time of a step: {100 * work['integer']:.0f} % is integer work",
        "text": "Every operation of one step timed by the runtime itself.",
        "items": items,
    }


def runs(session: Session) -> dict[str, Any] | None:
    """Float, simulated and real side by side."""
    run = real_run(session)
    if run is None:
        return None
    v = run.values
    title, _ = RUNTIMES[run.backend]
    badge = REAL if v["integer_layers"] else FLOAT
    mine, simulated = v["seconds_quantized"], v["seconds_simulated"]
    rows = [
        ["Float, PyTorch eager", FLOAT, v["seconds_float"], v["bytes_float"] / MEGABYTE],
        ["Quantized, PyTorch", SIMULATED, simulated, run.size / MEGABYTE],
        [f"ONNX file in {title}", badge, mine, v["bytes"] / MEGABYTE],
    ]
    columns = [("How", ""), ("Badge", ""), ("Sampling", "s"), ("On disk", "MB")]
    return {
        "caption": f"{v['samples']} pictures, {v['steps']} steps, in one run",
        "columns": [{"title": name, "unit": unit} for name, unit in columns],
        "rows": rows,
    }


def layers(session: Session) -> dict[str, Any] | None:
    """Every layer: did it run in int8, if not why, and how far simulation and runtime part."""
    run, variant = real_run(session), looked_at(session)
    if variant is None:
        return None
    if run is not None:
        rows = [_row(each) for each in run.values["layers"]]
        caption = f"{len(rows)} layers and products of attention, as they ran"
    else:
        from analysis.int8 import integer_kernels

        rows = [
            [row.name, SIMULATED, "int8" if row.integer else "float", row.why or None, None]
            for row in integer_kernels(variant.quantized)
        ]
        caption = f"{len(rows)} layers and products of attention, as their grids allow"
    titles = [
        ("Layer", ""),
        ("Badge", ""),
        ("Runs as" if run is None else "Ran as", ""),
        ("Why not, or remark", ""),
        ("SQNR, simulated to real", "dB"),
    ]
    return {
        "caption": caption,
        "columns": [{"title": name, "unit": unit} for name, unit in titles],
        "rows": rows,
    }


def _row(row: Any) -> list[Any]:
    ran = {"int8": "int8", "bf16": "bfloat16", "f32": "float32"}.get(row["ran"])
    badge = {"int8": REAL, None: None}.get(ran, FLOAT)
    db = row["sqnr_db"]
    return [row["name"], badge, ran, row["why"] or None, "∞" if db == float("inf") else db]
