"""What is drawn of the calibration lab: from a visitor's sets to figures."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from analysis.errors import UserError
from workbench.figures import calibration as figures
from workbench.figures import calibration_effect as effects
from workbench.figures.calibration import Cloud, Series, empty
from workbench.figures.style import Figure
from workbench.lab import Kept
from workbench.prediction import planned
from workbench.selection import PROJECTIONS
from workbench.session import Session
from workbench.views.calibration_says import doublings_of

PLANES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def planes() -> list[str]:
    """The projections that can be made here: UMAP only where `umap-learn` is installed."""
    return [name for name in PROJECTIONS if name != "umap" or find_spec("umap") is not None]


def measured(session: Session) -> tuple[str, bool]:
    """The page's plan in words, and whether what was measured is of it and of this capture."""
    conditions = session.lab.measured
    try:
        plan = planned(session)
    except UserError:  # a layer's own bits that do not fit the capture: Quantize says so
        return session.selection.plan, False
    if conditions is None:
        return plan.text, False
    return plan.text, (conditions.plan, conditions.capture) == (plan, session.opened.key)


def counts(session: Session) -> Figure:
    """Samples at each timestep."""
    lab, opened = session.lab, session.opened
    if not lab.kept:
        return empty("Choose samplers and press Draw.", 200)
    land = lab.land
    sets = [
        Series(k.label, k.slot, k.drawn.calibration.timesteps, k.drawn.calibration.counts)
        for k in lab.kept
    ]
    curves = [None, None]
    if land is not None:
        curves = [
            Series("density (near steps)", 0, land.timesteps, land.density),
            Series("diversity", 0, land.timesteps, land.diversity),
        ]
    selected = float(opened.capture.timesteps[session.selection.step])
    return figures.counts(sets, *curves, selected, session.selection.counts_as == "bars")


def scatter(session: Session) -> Figure:
    """Features on a plane."""
    name = session.selection.projection
    placed = session.lab.placed.get(name)
    if not session.lab.kept or placed is None:
        return empty("Draw sets first.", 200)
    clouds = [
        Cloud(
            f"{k.label}: coverage {_coverage(k):.2f}",
            k.slot,
            placed.points(k.key),
            k.drawn.calibration.t[placed.rows[k.key]],
        )
        for k in session.lab.kept
        if k.key in placed.rows
    ]
    return figures.scatter(placed.points(""), clouds, PLANES[placed.embedding.method])


def _coverage(kept: Kept) -> float:
    report = kept.drawn.calibration.report
    return report.coverage if report is not None else float("nan")


def placed_says(session: Session) -> dict[str, Any]:
    """How to read the scatter, and what is missing in it."""
    name, lab = session.selection.projection, session.lab
    placed = lab.placed.get(name)
    if not lab.kept:
        return {
            "text": "Every grey point is one step of a held-out run; the samples of the sets "
            "you draw appear on top."
        }
    if placed is None:
        return {"text": f"{PLANES[name]} was not made; press Draw with another seed or sampler."}
    missing = [k.label for k in lab.kept if k.key not in placed.rows]
    far = "" if placed.embedding.method == "pca" else " Only neighbours mean something here, not "
    far += "distances." if far else ""
    text = "Grey: every step of held-out runs. Grey regions without samples are moments of sampling"
    text += f" that a set does not stand for.{far} {placed.embedding.note}"
    if missing:
        text += f" Not shown yet, because drawing was cancelled: {', '.join(missing)}."
    return {"text": text.strip()}


def errors(session: Session) -> Figure:
    """One-step SQNR at every held-out timestep."""
    lab = session.lab
    sets = [
        Series(k.label, k.slot, k.effect.timesteps, k.effect.sqnr_db_per_step)
        for k in lab.kept
        if k.effect is not None
    ]
    if not sets or lab.reference is None or not measured(session)[1]:
        return empty(_first(session))
    of_capture = lab.reference.timesteps, lab.reference.sqnr_db_per_step
    return effects.errors(sets, Series("the capture's ranges", 0, *of_capture))


def scales(session: Session) -> Figure:
    """Every layer's scale against the capture's."""
    lab = session.lab
    found = [(k, v) for k in lab.kept if (v := doublings_of(lab, k)) is not None]
    if not found or lab.reference is None or not measured(session)[1]:
        return empty(_first(session))
    names = lab.reference.layers
    sets = [(k.label, k.slot, np.array([v.get(n, np.nan) for n in names])) for k, v in found]
    return effects.scales(names, sets, session.selection.layer)


def _first(session: Session) -> str:
    return "Press Measure." if session.lab.kept else "Draw sets first, then press Measure."


def spread(session: Session) -> Figure:
    """Spread of every layer's scale over the repeats."""
    if session.lab.stability is None:
        return empty("Draw sets first, then press Repeat.")
    found = session.lab.stability[1]
    return effects.spread(found.layers, found.spread, session.selection.layer)


def repeated(session: Session) -> Figure:
    """One-step SQNR of the repeats beside the sets'."""
    if session.lab.stability is None:
        return empty("", 20)
    found = session.lab.stability[1]
    others = [
        (k.label, k.slot, k.effect.sqnr_db)
        for k in session.lab.kept
        if k.effect is not None and measured(session)[1]
    ]
    return effects.repeats(found.seeds, found.sqnr_db, others)
