"""What a visitor has measured in Sweep: the sensitivity of layers, and the rows of sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.sensitivity import Sensitivity
    from analysis.sweep_rows import Cell, SweepRow

MOST_ROWS = 200  # in the table; older ones go first


@dataclass
class Swept:
    """One visitor's results. Rows stay as long as the next ones can be compared with them."""

    layers: Sensitivity | None = None
    rows: list[SweepRow] = field(default_factory=list)
    not_reached: tuple[Cell, ...] = ()
    ended: str = ""  # "whole", "budget" or "cancelled"
    known: dict[str, SweepRow] = field(default_factory=dict)  # finished ones, by their key
    raised: Mapping[str, str] = field(default_factory=dict)  # layers that the button keeps

    def add(self, row: SweepRow) -> None:
        """File a row in the place of an earlier one of the same configuration.

        Rows of other pictures, or of another model, cannot stand beside it and are dropped.
        """
        alike = [other for other in self.rows if _pictures(other) == _pictures(row)]
        same = [i for i, other in enumerate(alike) if _configuration(other) == _configuration(row)]
        if same:
            alike[same[0]] = row
        else:
            alike.append(row)
        self.rows = alike[-MOST_ROWS:]


def _pictures(row: SweepRow) -> tuple[object, ...]:
    return row.model_digest, row.samples, row.steps, row.seed


def _configuration(row: SweepRow) -> tuple[object, ...]:
    return row.cell, row.preset, dict(row.overrides)
