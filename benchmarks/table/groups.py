"""Records of the same setting under different seeds: means, spreads and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean, stdev

from benchmarks.table.rows import Row
from benchmarks.table.store import Record

Groups = Mapping[Row, Mapping[int, Record]]  # setting -> seed -> record
HIGHER_IS_BETTER = {"psnr_db": True, "ssim": True, "sqnr_db": True, "frechet": False}


@dataclass(frozen=True)
class Difference:
    """How much one setting is better than another in one metric.

    `gain` is positive where the first is better, whichever way the metric counts. `noise` is the
    spread over seeds that a gain must exceed to mean anything, `None` where it is not known.
    """

    metric: str
    gain: float
    noise: float | None
    seeds: int

    @property
    def sign(self) -> int:
        """1 better, -1 worse, 0 within the noise."""
        if self.gain == 0 or (self.noise is not None and abs(self.gain) <= self.noise):
            return 0
        return 1 if self.gain > 0 else -1


def grouped(records: Iterable[Record]) -> Groups:
    """Records by setting and seed."""
    groups: dict[Row, dict[int, Record]] = {}
    for record in records:
        groups.setdefault(record.row.setting, {})[record.row.seed] = record
    return groups


def values(groups: Groups, setting: Row, metric: str) -> dict[int, float]:
    """A metric of a setting by seed, without those where it is not known."""
    found = {s: record.values.get(metric) for s, record in groups.get(setting, {}).items()}
    return {seed: value for seed, value in found.items() if value is not None}


def average(groups: Groups, setting: Row, metric: str) -> float | None:
    """Mean over seeds."""
    found = values(groups, setting, metric)
    return mean(found.values()) if found else None


def spread(groups: Groups, setting: Row, metric: str) -> float | None:
    """Sample standard deviation over seeds; `None` for fewer than two."""
    found = values(groups, setting, metric)
    return stdev(found.values()) if len(found) > 1 else None


def difference(groups: Groups, first: Row, second: Row, metric: str) -> Difference | None:
    """Gain of one setting over another on the seeds that both have.

    The noise is the spread over seeds: of the paired differences where there are two or more,
    and otherwise the larger spread of the two settings, or of the methods' usual rows with the
    same bits.
    """
    a, b = values(groups, first, metric), values(groups, second, metric)
    seeds = sorted(set(a) & set(b))
    if not seeds:
        return None
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    gains = [sign * (a[seed] - b[seed]) for seed in seeds]
    if len(gains) > 1:
        return Difference(metric, mean(gains), stdev(gains), len(gains))
    rows = (first, second, first.parent, second.parent)
    spreads = [s for row in rows if (s := spread(groups, row, metric)) is not None]
    return Difference(metric, gains[0], max(spreads, default=None), 1)


def excess_cut(groups: Groups, first: Row, second: Row, float_setting: Row) -> float | None:
    """Share of the second's Frechet distance above the float model's that the first removes.

    `None` where something is missing, or where the second has no excess to remove.
    """
    parts = [values(groups, row, "frechet") for row in (first, second, float_setting)]
    seeds = set.intersection(*(set(part) for part in parts))
    if not seeds:
        return None
    a, b, base = (mean(part[seed] for seed in seeds) for part in parts)
    return 1 - (a - base) / (b - base) if b > base else None
