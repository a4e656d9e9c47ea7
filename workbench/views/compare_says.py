"""What Compare says in words and tables."""

from __future__ import annotations

from typing import Any

from workbench.figures.style import number
from workbench.session import Session
from workbench.variants import Compared, Seen, chosen

NOTHING = {
    "title": "Nothing to compare yet",
    "text": "First open Quantize, choose bits and press Apply; then come back and press Compare. "
    "Every model that you make stays in the list, so that several can stand side by side.",
}
READY = {
    "title": "Ready",
    "text": "Press Compare: all models start from the same noise, so every difference between the "
    "pictures is the quantization's.",
}


def head(session: Session) -> dict[str, Any]:
    """The numbers of the model that is looked at, or what to do first."""
    if not session.variants:
        return NOTHING
    if session.side is None:
        return READY
    from analysis.unseen import unseen_sentence

    one = session.side.of(session.drawn.get("looked"))
    missing = {v.number for v in chosen(session)} - {s.number for s in session.side.seen}
    more = " Press Compare again to add the models that are not shown yet." if missing else ""
    v = one.values
    n = v["samples"]
    text = (
        f"{one.label}, {v['steps']} steps, N = {n} pictures from the same noise. A Fréchet "
        "distance of so few pictures mostly shows their number: read its difference, not its size, "
        f"and take a larger N to be sure.{more}"
    )
    notes = [s for s in [unseen_sentence(v["unseen_timesteps"], v["steps"])] if s]
    items = _items(v, n)
    return {"title": "Float against quantized", "text": text, "items": items, "notes": notes}


def _items(v: Any, n: int) -> list[dict[str, str]]:
    return [
        _tile("PSNR", v["psnr_db"], "dB", f"N = {n}, higher is closer"),
        _tile("SSIM", v["ssim"], "", f"N = {n}, 1 is equal"),
        _tile("SQNR of the results", v["sqnr_db"], "dB", f"N = {n}"),
        _tile("Fréchet to data, float", v["frechet_float"], "", f"N = {n}, lower is better"),
        _tile("Fréchet to data, quantized", v["frechet_quantized"], "", f"N = {n}"),
        _tile("Fréchet, float to quantized", v["frechet_between"], "", f"N = {n}"),
        _tile(
            "Time, quantized",
            v["seconds_quantized"],
            "s",
            f"simulated integers: not faster; float {number(v['seconds_float'])} s; see Real int8",
        ),
    ]


def _tile(name: str, value: float | None, unit: str, note: str) -> dict[str, str]:
    shown = "n/a" if value is None else number(value)
    return {"name": name, "value": shown, "unit": unit, "note": note}


def metrics(side: Compared, looked: int) -> dict[str, Any]:
    """All models, number by number; N stands in every row."""
    titles = [
        ("Model", ""),
        ("PSNR", "dB"),
        ("SSIM", ""),
        ("SQNR", "dB"),
        ("Fréchet to data", ""),
        ("Fréchet to float", ""),
        ("N", "pictures"),
    ]
    first = side.seen[0].values
    rows: list[list[Any]] = [
        ["Float", None, None, None, first["frechet_float"], None, first["samples"]]
    ]
    keys = ("psnr_db", "ssim", "sqnr_db", "frechet_quantized", "frechet_between", "samples")
    rows += [[one.label, *(_finite(one.values[key]) for key in keys)] for one in side.seen]
    return {
        "caption": "All models from the same noise; click a row to look at that model",
        "columns": [{"title": title, "unit": unit} for title, unit in titles],
        "rows": rows,
        "keys": [0, *(one.number for one in side.seen)],
        "selected": looked,
    }


def steps(one: Seen) -> dict[str, Any]:
    """The error after every step and its two parts."""
    values = [one.values[name] for name in ("divergence", "fresh", "inherited")]
    rows = zip(*values, strict=True)
    titles = ("|x_q - x| / |x|", "fresh", "inherited")
    return {
        "caption": f"Error of {one.label} after every step, in percent of |x|",
        "columns": [{"title": "Step"}, *({"title": title, "unit": "%"} for title in titles)],
        "rows": [[i + 1, *(100 * v for v in row)] for i, row in enumerate(rows)],
    }


def _finite(value: float | None) -> float | str | None:
    """JSON has no infinity: equal pictures are written as a word."""
    return "∞" if value == float("inf") else value
