"""Bits of single layers: an editable table, and the most sensitive layers at 8 bits."""

from __future__ import annotations

import math
from typing import Any

from analysis.errors import UserError
from analysis.quant.plan import LayerPlan
from analysis.quant.scheme import FLOAT_BITS
from analysis.records import Array
from workbench.page import NothingToDo, check_whole
from workbench.prediction import PlannedLayers, plan_of, planned, predicted
from workbench.selection import PLAN_BITS
from workbench.session import Session
from workbench.variants import applied

SAFE = 8  # bits of the layers that are kept fine
COLUMNS = (
    ("Layer", ""),
    ("Kind", ""),
    ("Weight", "bits"),
    ("Activation", "bits"),
    ("Predicted, input", "dB"),
    ("Measured, input", "dB"),
    ("Measured, output", "dB"),
)
EDITED = {2: "weight", 3: "act"}  # column -> which bits it sets


def layer_table(session: Session, values: Array) -> dict[str, Any]:
    """Every layer: bits that can be set, what is predicted, what Apply measured."""
    opened, variant = session.opened, applied(session)
    without = _resolved(session, with_overrides=False)
    measured = variant.errors if variant else {}
    rows = []
    for layer, value in zip(opened.layers, values, strict=True):
        weight, act = _bits(without[layer.name])
        own = _read(session.overrides.get(layer.name))
        error = measured.get(layer.name)
        has_weight = layer.kind in ("conv", "linear")
        rows.append(
            [
                layer.name,
                layer.kind,
                {"value": own[0] if own else None, "plan": weight} if has_weight else None,
                {"value": own[1] if own else None, "plan": act},
                _finite(value),
                _finite(error.input_db) if error else None,
                _finite(error.output_db) if error else None,
            ]
        )
    return {
        "caption": f"{len(opened.names)} layers under {session.selection.plan}, "
        f"{_counted(session)} with bits of their own",
        "columns": [_column(i, title, unit) for i, (title, unit) in enumerate(COLUMNS)],
        "rows": rows,
        "keys": list(opened.names),
        "selected": session.selection.layer,
    }


def set_bits(session: Session, value: Any, index: Any) -> None:
    """Give one layer bits of its own; `""` in either column takes both back.

    Raises:
        UserError: for a layer that the capture does not have, or bits that do not exist.
    """
    if not (isinstance(index, list) and len(index) == 2 and index[1] in EDITED):
        raise NothingToDo
    layer, column = index
    if layer not in session.opened.names:
        raise UserError("This layer is not part of the capture that is open.")
    if value in ("", None):
        session.overrides.pop(layer, None)
        return
    bits = next((b for b in PLAN_BITS if str(b) == str(value)), None)
    if bits is None:
        raise UserError(f"Bits of a layer must be 2 to 8, or 32 for float; got {str(value)[:20]}.")
    weight, act = _bits(_resolved(session)[layer])
    weight, act = (bits, act) if EDITED[column] == "weight" else (weight, bits)
    session.overrides[layer] = _written(weight, act)


def keep_worst(session: Session, count: Any) -> None:
    """Put the layers that lose most at 8 bits, as far as the plan gives them fewer.

    Raises:
        UserError: for a count that is no whole number of layers, or when no layer has fewer bits.
    """
    check_whole("k", count, 1, len(session.opened.names))
    plans = _resolved(session)
    able = [name for name, db in ranked(session) if min(_bits(plans[name])) < SAFE]
    if not able:
        raise UserError("No layer has fewer than 8 bits; lower the bits of the plan first.")
    for name in able[: int(count)]:
        session.overrides[name] = _written(*(max(bits, SAFE) for bits in _bits(plans[name])))


def ranked(session: Session) -> list[tuple[str, float]]:
    """Layers with the SQNR in dB that ranks them, worst first: measured if there is a model.

    Operands of attention are not measured; of them, what Apply worked out counts.
    """
    variant = applied(session)
    if variant is None:
        values = predicted(session.opened, planned(session))
        known = dict(zip(session.opened.names, values.tolist(), strict=True))
    else:
        rows = {r.name: r.sqnr_db for r in variant.quantized.layers if r.sqnr_db is not None}
        known = {**rows, **{name: e.output_db for name, e in variant.errors.items()}}
    present = [(n, known[n]) for n in session.opened.names if math.isfinite(known.get(n, math.inf))]
    return sorted(present, key=lambda item: item[1])


def clear(session: Session) -> None:
    """All layers as the plan has them."""
    session.overrides.clear()


def _resolved(session: Session, with_overrides: bool = True) -> dict[str, LayerPlan]:
    plan = planned(session) if with_overrides else plan_of(session.selection)
    return plan.resolve(PlannedLayers.of(session.opened))


def _bits(plan: LayerPlan) -> tuple[int, int]:
    """Bits of weight and activation, 32 for float."""
    return (
        FLOAT_BITS if plan.weight is None else plan.weight.bits,
        FLOAT_BITS if plan.act is None else plan.act.bits,
    )


def _written(weight: int, act: int) -> str:
    """The plan of one layer. Plans know no 16 bits, which x_t may have: float stands for them."""
    return f"W{weight if weight in PLAN_BITS else 32}A{act if act in PLAN_BITS else 32}"


def _read(text: str | None) -> tuple[int, int] | None:
    """The two numbers of W8A8."""
    if text is None:
        return None
    weight, _, act = text.upper().removeprefix("W").partition("A")
    return int(weight), int(act)


def _column(index: int, title: str, unit: str) -> dict[str, Any]:
    choices = [[str(b), "float" if b == FLOAT_BITS else str(b)] for b in PLAN_BITS]
    return {"title": title, "unit": unit, **({"choices": choices} if index in EDITED else {})}


def _counted(session: Session) -> int:
    return sum(name in session.overrides for name in session.opened.names)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
