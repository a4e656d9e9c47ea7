"""What Sweep says in words and tables: of layers, and of rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis.sweep_rows import SweepRow, csv_text, json_text
from workbench.captures import OpenCapture
from workbench.figures.pareto import front_of, label_of
from workbench.figures.style import number
from workbench.session import Session

NO_LAYERS = {
    "title": "No layer is measured yet",
    "text": "Press Measure: each layer in turn is quantized alone, with the bits set in Quantize, "
    "and the error it makes in the predicted noise is measured. A few seconds are enough to find "
    "the worst ones.",
}
NO_ROWS = {
    "title": "No row yet",
    "text": "Choose methods and plans and press Sweep. Every combination is quantized and samples "
    "pictures from the same noise as the float model; rows appear as they finish.",
}
FRONT = "not beaten in both at once"
ENDS = {
    "whole": "",
    "budget": " The time was up before the rest.",
    "cancelled": " Cancelled; what was finished is kept.",
}


def layers_of(session: Session) -> Any:
    """The sensitivity that was measured, if it is of the model whose capture is open."""
    found = session.swept.layers
    same = found is not None and found.model_digest == session.opened.capture.model_digest
    return found if same else None


def layer_says(session: Session) -> dict[str, Any]:
    """How much was measured, and what stands out."""
    found = layers_of(session)
    if found is None:
        return NO_LAYERS
    ranking = found.ranking
    at = ", ".join(f"{t:g}" for t in found.timesteps)
    text = (
        f"{len(ranking)} of {len(found.rows)} layers measured in {found.seconds:.0f} s, each "
        f"quantized alone; SQNR of the predicted noise over {found.samples} held-out samples at "
        f"t = {at}.{ENDS[found.ended]}"
    )
    if found.not_reached:
        text += " Hollow points are a first-order estimate."
    if found.plan.text != session.selection.plan:
        text += f" The plan is now {session.selection.plan}: measure again."
    return {"title": f"Sensitivity under {found.plan.text}", "text": text, "items": _tiles(session)}


def _tiles(session: Session) -> list[dict[str, str]]:
    from analysis.sensitivity import raised

    found, count = layers_of(session), session.selection.apart
    ranking = found.ranking
    values = [row.sqnr_db for row in ranking]
    worst = ranking[0]
    kept = raised(found, count)
    cost = extra_megabytes(session.opened, found, kept)
    bits = f"W{worst.weight_bits}" if worst.weight_bits else ""
    passed = "" if worst.name in kept else ": has its 8 bits"
    return [
        _tile(
            "Most sensitive",
            number(values[0]),
            "dB",
            f"{worst.name}, {bits}A{worst.act_bits}{passed}",
        ),
        _tile("Middle layer", number(values[len(values) // 2]), "dB"),
        _tile(f"Keeping {len(kept)} at 8 bits", f"+{cost:.2f}", "MB", "more for their weights"),
    ]


def extra_megabytes(opened: OpenCapture, found: Any, kept: Mapping[str, str]) -> float:
    """What keeping layers at more bits adds to the model's size."""
    shapes = {layer.name: layer.shape for layer in opened.layers}
    bits = {row.name: row.weight_bits for row in found.rows}
    more = 0
    for name, text in kept.items():
        own = bits[name]
        if own is not None and shapes.get(name):
            more += math.prod(shapes[name]) * (int(text[1 : text.index("A")]) - own)
    return more / 8e6


def layer_table(session: Session) -> dict[str, Any] | None:
    """Every layer, most sensitive first; those that were not reached at the end."""
    found = layers_of(session)
    if found is None:
        return None
    columns = [("Layer", ""), ("Kind", ""), ("Bits", ""), ("SQNR of predicted noise", "dB")]
    columns += [(f"at t = {t:g}", "dB") for t in found.timesteps]
    columns += [("Pictures, PSNR", "dB, finalists"), ("First-order estimate", "dB")]
    rows = [*found.ranking, *(row for row in found.rows if row.sqnr_db is None)]
    return {
        "caption": f"{len(rows)} layers, each quantized alone under {found.plan.text}",
        "columns": [{"title": title, "unit": unit} for title, unit in columns],
        "rows": [_layer_row(row, len(found.timesteps)) for row in rows],
        "keys": [row.name for row in rows],
        "selected": session.selection.layer,
    }


def _layer_row(row: Any, moments: int) -> list[Any]:
    bits = f"W{row.weight_bits}A{row.act_bits}" if row.weight_bits else f"A{row.act_bits}"
    steps = [_finite(value) for value in row.by_step_db] or [None] * moments
    ends = [_finite(row.psnr_db), _finite(row.predicted_db)]
    return [row.name, row.kind, bits, _finite(row.sqnr_db), *steps, *ends]


def row_says(session: Session) -> dict[str, Any]:
    """How many rows there are, and the best of them."""
    swept, selection = session.swept, session.selection
    if not swept.rows:
        return NO_ROWS
    first = swept.rows[0]
    failed = [row for row in swept.rows if row.error]
    text = (
        f"{first.samples} pictures of {first.steps} steps each, all from the same noise. A click "
        f"on a row or a point sets Quantize to it.{ENDS.get(swept.ended, '')}"
    )
    if swept.not_reached:
        names = ", ".join(f"{cell.method} {cell.plan}" for cell in swept.not_reached[:6])
        more = ", …" if len(swept.not_reached) > 6 else ""
        text += f" Not reached: {names}{more}; Sweep goes on with them."
    if len(failed) == len(swept.rows):
        text = f"No row could be run: the table has the reasons.{ENDS.get(swept.ended, '')}"
    front = front_of(swept.rows, selection.sweep_x, selection.sweep_y)
    best = [row for row in swept.rows if row.psnr_db is not None]
    items = [_tile("Pareto front", str(sum(front)), f"of {len(swept.rows)} rows", FRONT)]
    if best:
        top = max(best, key=lambda row: row.psnr_db or -math.inf)
        items.append(
            _tile("Best PSNR", number(top.psnr_db or 0), "dB", f"{top.method} {label_of(top)}")
        )
    if failed:
        items.append(_tile("Failed", str(len(failed)), "rows", "reasons in the table"))
    return {"title": f"{len(swept.rows)} rows of {first.model}", "text": text, "items": items}


def _tile(name: str, value: str, unit: str, note: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit, "note": note}


def row_table(session: Session) -> dict[str, Any] | None:
    """All rows; the key of each is its position."""
    rows, selection = session.swept.rows, session.selection
    if not rows:
        return None
    front = front_of(rows, selection.sweep_x, selection.sweep_y)
    columns = [
        ("Method", ""),
        ("Plan", ""),
        ("Calibration", ""),
        ("PSNR", "dB"),
        ("SSIM", "of 1"),
        ("Fréchet", f"N = {rows[0].samples}"),
        ("Size", "MB"),
        ("Weight x activation", "bits²"),
        ("Time", "s"),
        ("Pareto front", ""),
        ("Note", ""),
    ]
    return {
        "caption": f"{len(rows)} configurations; + counts layers with bits of their own",
        "columns": [{"title": title, "unit": unit} for title, unit in columns],
        "rows": [_row(row, best) for row, best in zip(rows, front, strict=True)],
        "keys": [str(i) for i in range(len(rows))],
        "selected": session.drawn.get("loaded"),
    }


def _row(row: SweepRow, best: bool) -> list[Any]:
    named = [row.method, label_of(row), row.calibration]
    values = [_finite(v) for v in (row.psnr_db, row.ssim, row.frechet, row.size_mb)]
    time = row.seconds if row.error is None else None
    return [*named, *values, row.product, time, "on it" if best else "", row.error or row.preset]


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def files(session: Session) -> dict[str, Any] | None:
    """The rows, and the layers, as files to download."""
    out = []
    if session.swept.rows:
        rows = session.swept.rows
        text = json_text({"rows": [vars(row) for row in rows]})
        out += _both("sweep", "Rows", csv_text(rows), text)
    return {"files": out} if out else None


def layer_files(session: Session) -> dict[str, Any] | None:
    """The sensitivity of all layers as files to download."""
    found = layers_of(session)
    if found is None:
        return None
    from analysis.sensitivity_files import layers_csv, layers_report

    return {
        "files": _both("sensitivity", "Layers", layers_csv(found), json_text(layers_report(found)))
    }


def _both(name: str, title: str, table: str, text: str) -> list[dict[str, str]]:
    return [
        {"name": f"{name}.csv", "label": f"{title} as CSV", "type": "text/csv", "text": table},
        {
            "name": f"{name}.json",
            "label": f"{title} as JSON",
            "type": "application/json",
            "text": text,
        },
    ]
