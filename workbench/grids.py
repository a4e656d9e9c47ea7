"""The grids a visitor tries out in Explore: for all layers, or for some of them alone."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

from workbench.whatif import GRANULARITIES, Grid, Own

if TYPE_CHECKING:
    from workbench.page import Change
    from workbench.selection import Selection
    from workbench.session import Session

BITS = (2, 3, 4, 5, 6, 7, 8)
ESTIMATORS = ("minmax", "percentile", "lp", "mse", "l1")
LEAST_KEPT = 20  # percent of a range
MOST_OWN = 24  # layers with a grid of their own: more would not fit into an address
LARGEST = 1e30


def with_grid(selection: Selection, layer: str, grid: Grid | None) -> Selection:
    """The selection with another grid for one layer; `None` gives it that of all again."""
    others = tuple((name, g) for name, g in selection.own if name != layer)
    alone = () if grid is None or grid == selection.base else ((layer, grid),)
    return replace(selection, own=(*others, *alone)[-MOST_OWN:])


def changed(selection: Selection, **values: Any) -> Selection:
    """The grid's numbers changed, for the selected layer alone or, if so chosen, for all.

    What is set for all also reaches the layers with grids of their own; they keep the rest.
    """
    free = {} if set(values) <= {"bits", "symmetric"} else {"clip": None}
    if selection.applies == "layer":
        return with_grid(selection, selection.layer, replace(selection.grid, **values, **free))
    base = replace(selection, **values)
    own = ((name, replace(grid, **values, **free)) for name, grid in selection.own)
    return replace(base, own=tuple((name, grid) for name, grid in own if grid != base.base))


def clipped(selection: Selection, low: float, high: float) -> Selection:
    """A range drawn by hand for the selected layer; 0 stays inside, and five digits are kept."""
    low, high = min(low, 0.0), max(high, 0.0)
    if not (high > low and max(-low, high) < LARGEST):
        return selection
    clip = float(f"{low:.5g}"), float(f"{high:.5g}")
    grid = replace(selection.grid, clip=clip, keep=100, granularity="per_tensor")
    return with_grid(selection, selection.layer, grid)


def setting(name: str) -> Change:
    """A change that puts a control's value into the grid; what is no value changes nothing."""

    def change(session: Session, value: Any) -> None:
        if valid(**{name: value}):
            session.selection = changed(session.selection, **{name: value})

    return change


def valid(
    bits: Any = 4,
    symmetric: Any = False,
    estimator: Any = "minmax",
    granularity: Any = "per_tensor",
    keep: Any = 100,
    clip: Any = None,
) -> bool:
    """Whether these are the numbers of a grid that the page can show."""
    return (
        type(bits) is int
        and bits in BITS
        and type(symmetric) is bool
        and estimator in ESTIMATORS
        and granularity in GRANULARITIES
        and type(keep) is int
        and LEAST_KEPT <= keep <= 100
        and (clip is None or _is_range(clip))
    )


def _is_range(clip: Any) -> bool:
    ends = [v for v in clip if type(v) in (int, float) and math.isfinite(v) and abs(v) < LARGEST]
    return len(clip) == len(ends) == 2 and ends[0] <= 0 <= ends[1] and ends[0] < ends[1]


def to_text(own: Own) -> str:
    """Layers and their grids as an address holds them."""
    rows = [[name, *astuple(grid)] for name, grid in own]
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False) if rows else ""


def from_text(text: str, layers: Collection[str]) -> Own:
    """What `to_text` wrote.

    Raises:
        ValueError: when it is something else, or names a layer that is not among `layers`.
    """
    if not text:
        return ()
    try:
        rows = json.loads(text)
        own = tuple(_one(row, layers) for row in rows)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if len(own) > MOST_OWN or len({name for name, _ in own}) < len(own):
        raise ValueError("too many layers, or one of them twice")
    return own


def _one(row: Any, layers: Collection[str]) -> tuple[str, Grid]:
    name, bits, symmetric, estimator, granularity, keep, clip = row
    if name not in layers or not valid(bits, symmetric, estimator, granularity, keep, clip):
        raise ValueError(f"no grid of a layer: {row}")
    return name, Grid(bits, symmetric, estimator, granularity, keep, _pair(clip))


def _pair(clip: Any) -> tuple[float, float] | None:
    return None if clip is None else (float(clip[0]), float(clip[1]))
