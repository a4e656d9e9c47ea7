"""The sensitivity of layers as text for other programs."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any

from analysis.console import plain
from analysis.sensitivity import Sensitivity


def layers_report(found: Sensitivity) -> dict[str, Any]:
    """Everything that was measured as plain values, most sensitive first."""
    rows = [*found.ranking, *(row for row in found.rows if row.sqnr_db is None)]
    return {
        "model": found.model,
        "model_digest": found.model_digest,
        "plan": str(found.plan),
        "timesteps": found.timesteps,
        "samples": found.samples,
        "seconds": found.seconds,
        "ended": found.ended,
        "layers": [asdict(row) for row in rows],
    }


def layers_csv(found: Sensitivity) -> str:
    """One line a layer, most sensitive first; empty where nothing was measured."""
    names = ["name", "kind", "weight_bits", "act_bits", "sqnr_db", "psnr_db", "predicted_db"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, *(f"sqnr_db_at_{t:g}" for t in found.timesteps)])
    for row in plain(layers_report(found)["layers"]):
        steps = row["by_step_db"] or [None] * len(found.timesteps)
        writer.writerow(["" if v is None else v for v in (*(row[n] for n in names), *steps)])
    return out.getvalue()
