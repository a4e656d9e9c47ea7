"""How blocks learned: their losses one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from workbench.figures.style import BLUE, ORANGE, Figure, axis, figure, packed, plain

COLOURS = (BLUE, ORANGE)


class Point(Protocol):
    """What a method tells while it learns; see `analysis.quant.phase.LossPoint`."""

    @property
    def phase(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def iteration(self) -> int: ...
    @property
    def iterations(self) -> int: ...
    @property
    def loss(self) -> float: ...


def losses(points: Sequence[Point]) -> Figure | None:
    """Every block's loss over its iterations, in the order they learned; `None` for none.

    Block i takes the stretch from i to i + 1; where a method walks twice, the walks differ in
    colour and dash.
    """
    if not points:
        return None
    phases = list(dict.fromkeys(p.phase for p in points))
    blocks = list(dict.fromkeys((p.phase, p.unit) for p in points))
    data = [
        _walk([p for p in points if p.phase == phase], blocks, COLOURS[i % 2], i)
        for i, phase in enumerate(phases)
    ]
    return figure(
        data,
        f"Loss of {len(blocks)} blocks while they learned",
        260,
        showlegend=len(phases) > 1,
        margin={"l": 62, "r": 12, "t": 28, "b": 44},
        xaxis=axis("blocks, in the order they learn"),
        yaxis=axis("loss (squared units)", type="log", exponentformat="power"),
    )


def _walk(
    points: Sequence[Point], blocks: list[tuple[str, str]], colour: str, walk: int
) -> dict[str, Any]:
    place = {block: i for i, block in enumerate(blocks)}
    x: list[float] = []
    y: list[float] = []
    text: list[str] = []
    for before, p in zip([None, *points], points, strict=False):
        if before is not None and before.unit != p.unit:
            x.append(float("nan"))
            y.append(float("nan"))
            text.append("")
        x.append(place[p.phase, p.unit] + p.iteration / max(p.iterations, 1))
        y.append(p.loss)
        text.append(plain(p.unit))
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(x),
        "y": packed(y),
        "text": text,
        "name": plain(points[0].phase),
        "line": {"color": colour, "width": 2, "dash": "solid" if walk == 0 else "dot"},
        "hovertemplate": "%{text}<br>loss %{y:.3g}<extra></extra>",
    }


def loss_table(points: Sequence[Point]) -> dict[str, Any] | None:
    """First and last loss of every block, for a table; `None` for none."""
    if not points:
        return None
    found: dict[tuple[str, str], list[float]] = {}
    for p in points:
        found.setdefault((p.phase, p.unit), []).append(p.loss)
    return {
        "caption": f"Losses of {len(found)} blocks (squared activation units). Learned roundings "
        "begin at the float weights, so a loss may rise while they harden",
        "columns": [{"title": t} for t in ("Block", "Walk", "First loss", "Last loss")],
        "rows": [[unit, phase, got[0], got[-1]] for (phase, unit), got in found.items()],
    }
