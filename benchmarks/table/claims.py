"""The papers' claims, each decided from the rows alone."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from benchmarks.table.groups import Difference, Groups, difference, excess_cut
from benchmarks.table.rows import CALIBRATIONS, Row, float_row

DECIDING = ("psnr_db", "frechet")
RESCUED = 0.5  # least share of the excess Frechet distance whose removal counts as a rescue
HELD, NOT_HELD, IN_NOISE, NOT_KNOWN = "held", "not held", "within the noise", "not known yet"


@dataclass(frozen=True)
class Pair:
    """Two settings of which a claim says that the first is better."""

    first: Row
    second: Row


@dataclass(frozen=True)
class Claim:
    """A claim, what is compared for it, and how a comparison is decided.

    `rule` is "better": better in one deciding metric and worse in none; "rescue": the same, and
    `RESCUED` of the excess Frechet distance removed; "as-good": worse in none.
    """

    title: str
    pairs: tuple[Pair, ...]
    rule: str = "better"
    compared: str = ""


@dataclass(frozen=True)
class Verdict:
    """How one comparison of a claim came out."""

    pair: Pair
    differences: tuple[Difference, ...]
    cut: float | None  # share of the second's excess Frechet distance that the first removes
    outcome: str


CLAIMS = (
    Claim(
        "NDTC or timestep-uniform calibration beats calibration at one timestep",
        (
            *(
                Pair(
                    Row("rtn", "W8A8", calibration=name),
                    Row("rtn", "W8A8", calibration="one-timestep"),
                )
                for name in CALIBRATIONS
                if name != "one-timestep"
            ),
            Pair(Row("ptq4dm", "W4A8"), Row("ptq4dm", "W4A8", without=("calibration",))),
            Pair(Row("q-diffusion", "W4A8"), Row("q-diffusion", "W4A8", without=("calibration",))),
        ),
        compared="Plain rounding on sets of equal size that differ in their timesteps alone, then "
        "each method with its own calibration (NDTC for ptq4dm, timestep-uniform for "
        "q-diffusion) against the same method calibrated at one timestep.",
    ),
    Claim(
        "The split helps at low activation bits",
        (
            Pair(
                Row("q-diffusion", "W4A4", "instant"),
                Row("q-diffusion", "W4A4", "instant", without=("split",)),
            ),
        ),
        compared="The method at 4-bit activations against itself with one grid for both halves of "
        "the joined inputs, at the preset that learns nothing, so that nothing can make up for "
        "the missing split.",
    ),
    Claim(
        "AdaRound and reconstruction rescue 4-bit weights",
        (
            Pair(Row("q-diffusion", "W4A8"), Row("q-diffusion", "W4A8", without=("adaround",))),
            Pair(Row("eda-dm", "W4A8"), Row("eda-dm", "W4A8", without=("adaround",))),
            Pair(Row("q-diffusion", "W4A32"), Row("rtn", "W4A32")),
            Pair(Row("eda-dm", "W4A32"), Row("rtn", "W4A32")),
        ),
        rule="rescue",
        compared="The whole method against itself with weights rounded to the nearest level, and "
        "with float activations against plain rounding.",
    ),
    Claim(
        "TDAC and FBR (eda-dm) are at least as good as Q-Diffusion at W4A8",
        (Pair(Row("eda-dm", "W4A8"), Row("q-diffusion", "W4A8")),),
        rule="as-good",
        compared="The two whole methods.",
    ),
)


def judge(claim: Claim, groups: Groups, settings: Set[Row] | None = None) -> list[Verdict]:
    """The verdict on every comparison of a claim; with `settings` on those between these."""
    return [
        _verdict(claim.rule, pair, groups)
        for pair in claim.pairs
        if settings is None or {pair.first, pair.second} <= settings
    ]


def overall(verdicts: list[Verdict]) -> str:
    """A claim's outcome: held, not held, or in how many of its comparisons it held."""
    known = [v.outcome for v in verdicts if v.outcome != NOT_KNOWN]
    missing = len(verdicts) - len(known)
    if not known:
        return NOT_KNOWN
    held = known.count(HELD)
    text = HELD if held == len(known) else f"{HELD} in {held} of {len(known)} comparisons"
    if not held:
        text = f"{NOT_HELD} ({IN_NOISE})" if set(known) == {IN_NOISE} else NOT_HELD
    return f"{text}, {missing} not known yet" if missing else text


def _verdict(rule: str, pair: Pair, groups: Groups) -> Verdict:
    found = [difference(groups, pair.first, pair.second, metric) for metric in DECIDING]
    known = tuple(d for d in found if d is not None)
    cut = excess_cut(groups, pair.first, pair.second, float_row())
    return Verdict(pair, known, cut, _outcome(rule, known, cut))


def _outcome(rule: str, differences: tuple[Difference, ...], cut: float | None) -> str:
    signs = {d.sign for d in differences}
    if not signs:
        return NOT_KNOWN
    if -1 in signs:
        return NOT_HELD
    if rule == "as-good":
        return HELD
    if signs == {0}:
        return IN_NOISE
    return NOT_HELD if rule == "rescue" and (cut is None or cut < RESCUED) else HELD
