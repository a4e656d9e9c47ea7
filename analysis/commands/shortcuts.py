"""Bimodality of concatenated inputs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from analysis.commands.options import Json
from analysis.console import number, say, table
from analysis.runs import find_capture


def shortcuts(
    run: Annotated[str, typer.Argument(help="A capture: run folder or file.")],
    timestep: Annotated[float | None, typer.Option(help="Default: middle of the run.")] = None,
    as_json: Json = False,
) -> None:
    """How bimodal each concatenated shortcut input is."""
    import analysis

    reports = analysis.shortcut_report(analysis.load_capture(find_capture(run)), timestep)
    rows = [["layer", "range h", "range skip", "ratio", "dip p", "Ashman D", "bimodal", "4 bits"]]
    for r in reports:
        small = f"{r.sqnr_db_small_half_joint[4]:.1f} -> {r.sqnr_db_small_half_split[4]:.1f} dB"
        figures = [r.range_h, r.range_skip, r.range_ratio, r.dip_p, r.ashman_d]
        cells = [number(f, digits=3 if f is r.dip_p else 1) for f in figures]
        rows.append([r.layer, *cells, "yes" if r.bimodal else "no", small])
    foot = "4 bits: SQNR of the narrower half under one scale for both -> under its own"
    say({"shortcuts": [asdict(r) for r in reports]}, as_json, [*table(rows), foot])
