"""What is said about drawn calibration sets: sentences, tiles and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.records import Array
from workbench.figures.style import number
from workbench.lab import Kept, Lab
from workbench.session import Session

SAMPLERS = """
A run of the model has as many steps as you set. Each sampler says how many samples come from each
step; the samples themselves are noisy pictures from the model's own runs, unless it says otherwise.

- **Timestep-uniform:** the same number at every step, as Q-Diffusion does.
- **NDTC:** timesteps from a normal distribution, more of them near the finished picture (PTQ4DM).
- **TDAC:** more where the features of the steps are dense and diverse (EDA-DM).
- **Random:** every step is as likely, and every sample comes from a run of its own.
- **One timestep:** all samples at the middle of the run, to see why that fails.
- **Noised pictures:** finished pictures with noise added, not what the model meets on its way.
- **Pure noise:** standard normal noise at every step.
- **Custom:** the histogram that you draw.
"""
CURVES = (
    "Below the counts, of held-out runs: **density** is how many other steps look alike to the "
    "network, **diversity** how much a step differs from all others. TDAC takes more samples where "
    "they are high."
)
NOTHING = {
    "title": "Nothing drawn yet",
    "text": "Choose samplers and press Draw: a few runs of the model show which timesteps each "
    "sampler takes, and how much of what the model meets its samples stand for.",
}


def sets_say(session: Session) -> dict[str, Any]:
    """The chosen set, beside the others."""
    kept = session.lab.selected
    if kept is None:
        return NOTHING
    drawn = kept.drawn.calibration
    used = session.calibration is drawn
    items = [
        _tile("Size", str(drawn.size), "samples"),
        _tile(
            "Spread over", str(int((drawn.counts > 0).sum())), f"of {len(drawn.counts)} timesteps"
        ),
        _tile("Coverage", f"{drawn.report.coverage:.2f}", "share, 0 to 1"),
    ]
    if (found := errors_of(session.lab, kept)) is not None:
        middle, worst = found
        items += [
            _tile("Scales off, middle layer", number(middle), "%"),
            _tile("Scales off, worst layer", number(worst), "times"),
            _tile("One-step SQNR", f"{kept.effect.sqnr_db:.1f}", "dB"),
        ]
    told = "Apply on Quantize uses this set." if used else "Pick another set in the table."
    return {
        "title": kept.label,
        "text": "Coverage is the share of feature neighbourhoods of 16 held-out runs that hold a "
        f"sample of the set. {told}",
        "items": items,
    }


def errors_of(lab: Lab, kept: Kept) -> tuple[float, float] | None:
    """How far the scales are from the capture's: middle layer in %, worst layer in times."""
    ratios = doublings_of(lab, kept)
    finite = np.abs([v for v in (ratios or {}).values() if np.isfinite(v)])
    if not finite.size:
        return None
    return float(100 * (2 ** np.median(finite) - 1)), float(2 ** finite.max())


def least_gain(lab: Lab, kept: Kept) -> tuple[float, float]:
    """The timestep at which a set does worst against the capture: dB gained there, and t."""
    assert kept.effect is not None
    assert lab.reference is not None
    gains = kept.effect.sqnr_db_per_step - lab.reference.sqnr_db_per_step
    worst = int(np.argmin(gains))
    return float(gains[worst]), float(kept.effect.timesteps[worst])


def doublings_of(lab: Lab, kept: Kept) -> dict[str, float] | None:
    """Layer -> log2 of its scale by the capture's; `None` before it is measured."""
    if kept.effect is None or lab.reference is None:
        return None
    from analysis.lab.effect import doublings

    values = doublings(kept.effect, lab.reference).tolist()
    return dict(zip(kept.effect.layers, values, strict=True))


def set_table(session: Session) -> dict[str, Any] | None:
    """Every set, one a row."""
    lab = session.lab
    if not lab.kept:
        return None
    columns = [
        ("Set", "sampler, samples"),
        ("Steps", "count"),
        ("Seed", ""),
        ("Coverage", "0 to 1"),
        ("Scales off, middle layer", "%"),
        ("worst layer", "times"),
        ("One-step SQNR", "dB"),
        ("its worst timestep", "dB against the capture"),
        ("Apply uses it", ""),
    ]
    chosen = lab.selected
    return {
        "caption": f"{len(lab.kept)} calibration sets",
        "columns": [{"title": title, "unit": unit} for title, unit in columns],
        "rows": [_row(session, kept) for kept in lab.kept],
        "keys": [kept.key for kept in lab.kept],
        "selected": chosen.key if chosen else "",
    }


def _row(session: Session, kept: Kept) -> list[Any]:
    report = kept.drawn.calibration.report
    middle, worst = errors_of(session.lab, kept) or (None, None)
    return [
        kept.label,
        kept.wish.steps,
        kept.wish.seed,
        report.coverage if report else None,
        middle,
        worst,
        finite(kept.effect.sqnr_db) if kept.effect else None,
        finite(least_gain(session.lab, kept)[0]) if middle is not None else None,
        "yes" if session.calibration is kept.drawn.calibration else "no",
    ]


def step_table(lab: Lab) -> dict[str, Any] | None:
    """Samples and coverage of every set at every timestep, density and diversity."""
    if not lab.kept or lab.land is None:
        return None
    land = lab.land
    every = np.unique(np.concatenate([land.timesteps, *(_times(k) for k in lab.kept)]))[::-1]
    columns = [{"title": "Timestep t"}]
    data: list[list[Any]] = []
    for kept in lab.kept:
        drawn = kept.drawn.calibration
        columns.append({"title": kept.label, "unit": "samples"})
        data.append(_at(every, drawn.timesteps, drawn.counts))
        columns.append({"title": "its coverage", "unit": "0 to 1"})
        data.append(_at(every, drawn.timesteps, drawn.report.coverage_per_step))
    columns += [
        {"title": "Density", "unit": "near steps"},
        {"title": "Diversity", "unit": "summed 1 - cosine"},
    ]
    data += [_at(every, land.timesteps, land.density), _at(every, land.timesteps, land.diversity)]
    return {
        "caption": "Samples, coverage, density and diversity at every timestep",
        "columns": columns,
        "rows": [[float(t), *row] for t, *row in zip(every, *data, strict=True)],
    }


def _times(kept: Kept) -> Array:
    return kept.drawn.calibration.timesteps


def _at(every: Array, timesteps: Array, values: Array) -> list[Any]:
    known = dict(zip(timesteps.tolist(), values.tolist(), strict=True))
    return [known.get(t) for t in every.tolist()]


def effect_table(lab: Lab, selected: str) -> dict[str, Any] | None:
    """Every layer's scale under the capture and, against it, under every set."""
    reference = lab.reference
    found = [(k, v) for k in lab.kept if (v := doublings_of(lab, k)) is not None]
    if reference is None or not found:
        return None
    return {
        "caption": f"Activation scales of {len(reference.layers)} layers",
        "columns": [
            {"title": "Layer"},
            {"title": "Capture's scale", "unit": "activation units"},
            *({"title": kept.label, "unit": "times the capture's"} for kept, _ in found),
        ],
        "rows": [
            [name, scale, *(finite(2.0 ** values.get(name, np.nan)) for _, values in found)]
            for name, scale in zip(reference.layers, reference.scales.tolist(), strict=True)
        ],
        "keys": list(reference.layers),
        "selected": selected,
    }


def effect_says(lab: Lab, plan: str, current: bool) -> dict[str, Any]:
    """What was measured, or how to measure it."""
    measured = [kept for kept in lab.kept if kept.effect is not None]
    if not lab.kept:
        return {"text": "First draw sets above; then press Measure."}
    if not measured or lab.reference is None or not current:
        return {
            "text": f"Measure rounds the model to {plan}, the plan set in Quantize, once with each "
            "set's ranges. Scales are held against those of the capture over all its timesteps."
        }
    best = max(measured, key=lambda kept: kept.effect.sqnr_db)
    worst = min(measured, key=lambda kept: least_gain(lab, kept))
    gain, t = least_gain(lab, worst)
    text = (
        f"{plan}: the noise predicted from the same held-out x_t has "
        f"{lab.reference.sqnr_db:.1f} dB with the capture's ranges, {best.effect.sqnr_db:.1f} dB "
        f"with those of the best set ({best.label}). The steps differ: at t = {t:g}, "
        f"{worst.label} has {gain:+.2g} dB against the capture. A scale below 0 is narrower than "
        "the capture's: it clips more and rounds finer."
    )
    waiting = len(lab.kept) - len(measured)
    return {"text": text + (f" {waiting} not measured yet: press Measure." if waiting else "")}


def stability_says(lab: Lab) -> dict[str, Any]:
    """Spread of scales and errors over the repeats."""
    if lab.stability is None:
        return {
            "text": "First draw sets above and pick one in the table; Repeat then draws it again "
            "with other seeds. Differences between samplers that are smaller than this spread are "
            "luck."
        }
    title, found = lab.stability
    spread, errors = 100 * found.spread, found.sqnr_db
    worst = int(np.nanargmax(spread))
    return {
        "title": f"{title}, seeds {found.seeds[0]} to {found.seeds[-1]}",
        "text": "Spread is the standard deviation over the seeds. Differences between samplers "
        "that are smaller than it are luck.",
        "items": [
            _tile("Scale, middle layer", number(float(np.nanmedian(spread))), "% spread"),
            _tile("Scale, worst layer", number(float(spread[worst])), "% spread"),
            _tile("One-step SQNR", f"{errors.mean():.2f}", "dB, mean"),
            _tile("its spread", number(float(errors.std(ddof=1))), "dB"),
        ],
    }


def stability_table(lab: Lab, selected: str) -> dict[str, Any] | None:
    """Scale of every layer over the repeats."""
    if lab.stability is None:
        return None
    title, found = lab.stability
    return {
        "caption": f"Scales over {len(found.seeds)} seeds: {title}",
        "columns": [
            {"title": "Layer"},
            {"title": "Mean scale", "unit": "activation units"},
            {"title": "Spread", "unit": "% of the mean"},
        ],
        "rows": [
            [name, float(mean), finite(float(100 * part))]
            for name, mean, part in zip(
                found.layers, found.scales.mean(axis=0), found.spread, strict=True
            )
        ],
        "keys": list(found.layers),
        "selected": selected,
    }


def _tile(name: str, value: str, unit: str) -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit}


def finite(value: float) -> float | None:
    """A number that JSON can hold."""
    return float(value) if np.isfinite(value) else None
