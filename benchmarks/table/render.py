"""Records to docs/results.md: every number and every verdict comes from the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.table.groups import Groups, average, difference, grouped, spread
from benchmarks.table.markdown import number, signed, table
from benchmarks.table.rows import METHODS, Row
from benchmarks.table.store import Record, Settings
from benchmarks.table.timing import timing
from benchmarks.table.verdicts import claims_text, goals_text

# metric -> heading, digits
METRICS = {
    "psnr_db": ("PSNR, dB", 2),
    "ssim": ("SSIM", 3),
    "sqnr_db": ("one-step SQNR, dB", 2),
    "frechet": ("Frechet distance", 4),
}
VERSIONS = ("python", "torch", "diffusers", "threads")


@dataclass(frozen=True)
class Report:
    """What a document is made from."""

    settings: Settings
    rows: Sequence[Row]  # all that belong to the table, finished or not
    records: Sequence[Record]
    there: Sequence[str] = METHODS  # methods that exist
    failed: Mapping[Row, str] = field(default_factory=dict)
    jobs: int = 1  # rows that were run at a time

    @property
    def groups(self) -> Groups:
        """The records by setting and seed."""
        return grouped(self.records)


def render(report: Report) -> str:
    """The whole document."""
    sections: tuple[Callable[[Report], str], ...] = (
        _head,
        lambda r: goals_text(r.groups),
        lambda r: claims_text(r.groups, {row.setting for row in r.rows}),
        _methods,
        _ablations,
        _others,
        _missing,
        lambda r: timing(r.records, len(r.rows), r.jobs),
    )
    return "\n\n".join(text for section in sections if (text := section(report))) + "\n"


def _head(report: Report) -> str:
    s = report.settings
    made = _made(report.records)
    return f"""# Results

`python -m benchmarks table --model {s.model} --samples {s.samples} --steps {s.steps} \
--jobs {report.jobs}` \
(`make table`) writes this page; commit {made["commit"]} (a + stands for changes on top).
Python {made["python"]}, torch {made["torch"]}, diffusers {made["diffusers"]}, device {s.device}, \
{made["threads"]} threads.

Model `{s.model}`, N = {s.samples} samples of {s.steps} steps. Frechet distances are to its \
training data; they depend on N and steps, and compare with no other table. PSNR and SSIM are to \
the float model's samples from the same noise. The one-step SQNR is that of the predicted noise \
on fixed x_t of float runs at all {s.steps} steps. All this noise is apart from that which \
calibration draws its runs from. Seconds are those of quantizing, calibration included; MB those \
of the folder that `save_quantized` writes, which holds the weights and scales of quantized layers \
and refers to the float model for the rest. Where a setting ran with several seeds, its number is \
their mean ± their standard deviation. The preset is `fast` unless another is named."""


def _made(records: Iterable[Record]) -> dict[str, str]:
    """Every commit and version that a shown row was made with."""
    found = [record.made for record in records]
    return {
        key: ", ".join(sorted({made[key] for made in found if key in made})) or "-"
        for key in ("commit", *VERSIONS)
    }


def _methods(report: Report) -> str:
    usual = [row for row in report.groups if row.parent == row and row.preset in ("", "fast")]
    return "## Methods and plans\n\n" + _table(report, usual)


def _others(report: Report) -> str:
    other = [
        row
        for row in report.groups
        if not row.without and (row.calibration or row.preset not in ("", "fast"))
    ]
    if not other:
        return ""
    text = "Other presets, and plain rounding on calibration sets that differ in timesteps alone."
    return f"## Other rows\n\n{text}\n\n{_table(report, other)}"


def _table(report: Report, settings: Iterable[Row]) -> str:
    groups, order = report.groups, {row: i for i, row in enumerate(report.rows)}
    plans = ("W32A32", "W8A8", "W6A6", "W4A32", "W4A8", "W4A4")
    chosen = sorted(settings, key=lambda row: (plans.index(row.plan), order.get(row, 0)))
    head = ["plan", "method", "seeds", *(name for name, _ in METRICS.values()), "seconds", "MB"]
    return table(head, (_line(groups, row) for row in chosen))


def _line(groups: Groups, row: Row) -> list[str]:
    records = groups[row].values()
    cells = [
        number(average(groups, row, metric), digits, spread(groups, row, metric))
        for metric, (_, digits) in METRICS.items()
    ]
    seconds = None
    if not row.is_float:
        seconds = sum(r.seconds_to_quantize for r in records) / len(records)
    size = average(groups, row, "file_bytes")
    megabytes = None if size is None else size / 1e6
    name = row.text + (" †" if any(r.stale for r in records) else "")
    return [row.plan, name, str(len(records)), *cells, number(seconds, 1), number(megabytes, 2)]


def _ablations(report: Report) -> str:
    groups = report.groups
    chosen = [row for row in report.rows if row in groups and row.without]
    if not chosen:
        return ""
    text = (
        "One part left out. In brackets the change against the whole method on the same seeds; "
        "≈ marks one within the noise, ? one whose noise is not known."
    )
    head = ["plan", "method", "seeds", *(name for name, _ in METRICS.values()), "seconds"]
    lines = []
    for row in chosen:
        cells = _line(groups, row)
        changes = [_change(groups, row, metric) for metric in METRICS]
        measured = [f"{c}{d}" for c, d in zip(cells[3:7], changes, strict=True)]
        lines.append([*cells[:3], *measured, cells[7]])
    return f"## Ablations\n\n{text}\n\n{table(head, lines)}"


def _change(groups: Groups, row: Row, metric: str) -> str:
    found = difference(groups, row, row.parent, metric)
    if found is None:
        return ""
    value = found.gain if metric != "frechet" else -found.gain
    mark = " ?" if found.noise is None else " ≈" * (found.sign == 0)
    return f" ({signed(value, METRICS[metric][1])}{mark})"


def _missing(report: Report) -> str:
    finished = {record.row for record in report.records}
    lines = [f"- {name}: not there yet" for name in METHODS if name not in report.there]
    lines += [f"- {row.slug}: failed ({why})" for row, why in report.failed.items()]
    waiting = [
        row.slug
        for row in report.rows
        if row not in finished and row not in report.failed and _exists(report, row)
    ]
    lines += [f"- not run yet: {', '.join(f'`{slug}`' for slug in waiting)}"] if waiting else []
    stale = any(record.stale for record in report.records)
    lines += ["- † made by other code than this commit's"] if stale else []
    left = {(r.row.method, name, why) for r in report.records for name, why in r.skipped.items()}
    lines += [
        f"- {method} left `{name}` (partly) float: {why}" for method, name, why in sorted(left)
    ]
    return "## Not in the table\n\n" + "\n".join(lines) if lines else ""


def _exists(report: Report, row: Row) -> bool:
    return row.is_float or row.method in report.there
