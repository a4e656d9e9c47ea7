"""Which rows the table has, most important first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

METHODS = ("rtn", "ptq4dm", "q-diffusion", "eda-dm")
LEARNED = ("q-diffusion", "eda-dm")
SEEDED_PLANS = ("W4A8", "W8A8")  # these have all seeds, the others one
OTHER_PLANS = ("W4A4", "W4A32", "W6A6")
SEEDS = (0, 1, 2)
# Sets that plain rounding is calibrated on, sampler and options: nothing else differs.
CALIBRATIONS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "ndtc": ("ndtc", {}),
    "timestep-uniform": ("timestep-uniform", {}),
    "one-timestep": ("single", {}),
}

Parts = Mapping[str, Iterable[str]]  # method -> parts that can be left out


@dataclass(frozen=True)
class Row:
    """One quantized model (or the float one) that is sampled and measured."""

    method: str
    plan: str
    preset: str = "fast"
    seed: int = 0
    without: tuple[str, ...] = ()  # parts of the method left out
    calibration: str | None = None  # a key of CALIBRATIONS; none: the method's own

    @property
    def slug(self) -> str:
        """Name of the row in file names and for `--rows`."""
        parts = [self.method, self.plan, self.preset, f"seed{self.seed}"]
        parts += [f"without-{name}" for name in self.without]
        parts += [f"on-{self.calibration}"] if self.calibration else []
        return "_".join(part for part in parts if part)

    @property
    def setting(self) -> Row:
        """The row of seed 0 that stands for all seeds."""
        return replace(self, seed=0)

    @property
    def parent(self) -> Row:
        """The method's usual row with the same bits: nothing left out, its own calibration."""
        return replace(self, seed=0, without=(), calibration=None)

    @property
    def is_float(self) -> bool:
        return self.method == "float"

    @property
    def text(self) -> str:
        """What the row is, for people, without bits and seed."""
        parts = [self.method]
        parts += [f"preset {self.preset}"] if self.preset not in ("", "fast") else []
        parts += [f"without {', '.join(self.without)}"] if self.without else []
        parts += [f"calibrated on {self.calibration}"] if self.calibration else []
        return ", ".join(parts)


def float_row(seed: int = 0) -> Row:
    """The float model itself."""
    return Row("float", "W32A32", "", seed)


def table_rows(parts: Parts) -> list[Row]:
    """All rows, so ordered that a run cut short has the ones that matter most.

    Args:
        parts: for each method that exists, the parts that can be left out. A method that is
            missing keeps its main rows, and has no ablations.
    """
    rows = _main(SEEDED_PLANS, 0)
    rows += [row for plan in OTHER_PLANS for row in _main((plan,), 0)[1:]]
    rows += ablations(parts)
    rows += [Row("rtn", "W8A8", calibration=name) for name in CALIBRATIONS]
    for seed in SEEDS[1:]:
        rows += _main(SEEDED_PLANS, seed)
    rows += split_alone(parts)
    return list(dict.fromkeys(rows))


def ablations(parts: Parts) -> list[Row]:
    """Each method with one part left out at W4A8."""
    return [
        Row(method, "W4A8", without=(part,)) for method in METHODS for part in parts.get(method, ())
    ]


def split_alone(parts: Parts) -> list[Row]:
    """The split at W4A4 where nothing is learned that could make up for its absence."""
    if "split" not in parts.get("q-diffusion", ()):
        return []
    whole = Row("q-diffusion", "W4A4", "instant")
    return [whole, replace(whole, without=("split",))]


def _main(plans: Iterable[str], seed: int) -> list[Row]:
    return [
        float_row(seed),
        *(Row(method, plan, seed=seed) for plan in plans for method in METHODS),
    ]
