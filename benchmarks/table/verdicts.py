"""Goals and claims as Markdown: the verdicts with the numbers they rest on."""

from __future__ import annotations

from collections.abc import Set

from benchmarks.table.claims import CLAIMS, DECIDING, RESCUED, Claim, Verdict, judge, overall
from benchmarks.table.goals import Goal, goals
from benchmarks.table.groups import Difference, Groups
from benchmarks.table.markdown import DASH, percent, signed, table
from benchmarks.table.rows import SEEDS, Row

DIGITS = {"psnr_db": 2, "frechet": 4}
RULES = {
    "better": "It holds where the first is better in one of the two and worse in neither.",
    "rescue": "It holds where the first is better in one of the two, worse in neither, and removes "
    f"at least {percent(RESCUED)} of the second's excess Frechet distance over float.",
    "as-good": "It holds where the first is worse in neither.",
}


def goals_text(groups: Groups) -> str:
    """The quality to reach, a line for each method."""
    lines = [
        [goal.title, goal.method, _found(goal), f"{goal.seeds} of {len(SEEDS)}", goal.outcome]
        for goal in goals(groups)
    ]
    head = ["goal", "method", "found", "seeds", "outcome"]
    return "## Quality to reach\n\n" + table(head, lines)


def claims_text(groups: Groups, settings: Set[Row]) -> str:
    """Every claim with its verdict and what was compared, of the settings that the table has."""
    intro = (
        "A gain is positive where the first of two settings is better: higher PSNR, lower Frechet "
        "distance. Behind ± stands the noise: the spread (standard deviation) over seeds, of the "
        "paired differences where both settings have several seeds, and otherwise of the "
        "method's usual rows with the same bits. A gain that is smaller is within the noise."
    )
    parts = [_claim(i, claim, groups, settings) for i, claim in enumerate(CLAIMS, 1)]
    return "\n\n".join(["## Claims", intro, *parts])


def _claim(position: int, claim: Claim, groups: Groups, settings: Set[Row]) -> str:
    verdicts = judge(claim, groups, settings)
    head = ["first", "second", "plan", "seeds", "PSNR gain, dB", "Frechet gain", "excess removed"]
    lines = [_line(verdict) for verdict in verdicts]
    return "\n\n".join(
        [
            f"### {position}. {claim.title}: {overall(verdicts)}",
            f"{claim.compared} {RULES[claim.rule]}",
            table([*head, "outcome"], lines),
        ]
    )


def _line(verdict: Verdict) -> list[str]:
    first, second = verdict.pair.first, verdict.pair.second
    found = {d.metric: d for d in verdict.differences}
    seeds = str(max((d.seeds for d in verdict.differences), default=0))
    gains = [_gain(found.get(metric), DIGITS[metric]) for metric in DECIDING]
    cut = percent(verdict.cut)
    return [first.text, second.text, first.plan, seeds, *gains, cut, verdict.outcome]


def _gain(difference: Difference | None, digits: int) -> str:
    if difference is None:
        return DASH
    noise = "noise not known" if difference.noise is None else f"± {difference.noise:.{digits}f}"
    words = {1: "better", -1: "worse", 0: "within the noise"}[difference.sign]
    return f"{signed(difference.gain, digits)} ({noise}): {words}"


def _found(goal: Goal) -> str:
    if goal.found is None:
        return DASH
    return (
        f"{signed(100 * goal.found, 1)} %"
        if goal.unit == "%"
        else f"{signed(goal.found, 2)} {goal.unit}"
    )
