"""Where the time of a table went."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.table.markdown import number, table
from benchmarks.table.store import Record

LIMIT_MIN = 120
PHASES = {
    "calibrate": "drawing calibrations, each once",
    "quantize": "quantizing",
    "save": "saving",
    "float": "float samples and held-out inputs, where no row had them yet",
    "sample": "sampling",
    "measure": "measuring",
}


def timing(records: Sequence[Record], rows: int, jobs: int = 1) -> str:
    """Minutes by phase, and their sum, shared by the rows run at a time, beside the limit."""
    minutes = {name: seconds / 60 for name, seconds in phase_seconds(records).items()}
    total = sum(minutes.values())
    taken = total / jobs
    outcome = "too long" if taken > LIMIT_MIN else "in time" if len(records) == rows else "so far"
    shared = f", {jobs} at a time and {total:.1f} min of work," if jobs > 1 else ""
    lines = [[text, number(minutes[name], 1)] for name, text in PHASES.items()]
    return "\n\n".join(
        [
            "## Time",
            f"{len(records)} of {rows} rows{shared} took {taken:.1f} min of the {LIMIT_MIN} min "
            f"that the whole table may take: {outcome}.",
            table(["phase", "minutes"], lines),
        ]
    )


def phase_seconds(records: Sequence[Record]) -> dict[str, float]:
    """Seconds of every phase over all rows; a calibration that rows share counts once."""
    total = {name: sum(r.seconds.get(name, 0.0) for r in records) for name in PHASES}
    drawn = {r.calibration: r.seconds.get("calibrate", 0.0) for r in records if r.calibration}
    return {**total, "calibrate": sum(drawn.values())}
