"""The long work of Sweep, and what is done with its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from glob import escape
from typing import Any

from analysis.errors import Cancelled, UserError
from analysis.progress import Progress, ShouldStop
from analysis.sweep_rows import OWN, KnownRows, RowFolder
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import Page, check_whole
from workbench.recipe import options_text, overrides_of, plan_of
from workbench.running import model_of
from workbench.session import Session
from workbench.views.sweep_says import layers_of

SWEEPS = "sweeps"  # the folder of finished rows, among the runs
MOST_SECONDS = 3600
MOST_FINALISTS = 12
STEPS = 10  # of the held-out runs


def layer_work(page: Page, session: Session, seconds: Any, finalists: Any) -> Work:
    """The work behind Measure; `UserError` for what cannot be run."""
    check_whole("time budget", seconds, 1, most_seconds(page))
    check_whole("finalists", finalists, 0, MOST_FINALISTS)
    selection, opened = session.selection, session.opened

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy(progress, should_stop)
        from analysis.sensitivity import Sensitivity, sensitivity

        def keep(state: Sensitivity) -> None:
            session.swept.layers = state

        done = sensitivity(
            model_of(session, page.models),
            plan_of(selection),
            opened.capture,
            steps=STEPS,
            budget=float(seconds),
            finalists=int(finalists),
            progress=progress,
            should_stop=should_stop,
            on_layer=keep,
        )
        keep(done)
        if done.ended == "cancelled":
            raise Cancelled

    return work


def sweep_work(
    page: Page,
    session: Session,
    methods: Sequence[str],
    plans: Sequence[str],
    sets: Sequence[str],
    samples: Any,
    steps: Any,
    seconds: Any,
    apart: bool,
    preset: str = "instant",
) -> Work:
    """The work behind Sweep; `UserError` for what cannot be run."""
    check_grid(methods, plans, sets)
    for name, value, most in (
        ("pictures", samples, page.settings.most_samples),
        ("steps", steps, page.settings.most_steps),
        ("time budget", seconds, most_seconds(page)),
    ):
        check_whole(name, value, 1, most)
    opened, swept, demo = session.opened, session.swept, page.settings.demo
    overrides = overrides_of(session) if apart else {}

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy(progress, should_stop)
        from analysis.sweep import sweep

        swept.ended, swept.not_reached = "", ()
        done = sweep(
            model_of(session, page.models),
            methods,
            plans,
            sets,
            samples=int(samples),
            steps=int(steps),
            preset="instant" if demo else preset,
            overrides=overrides,
            own={"rtn": opened.capture},  # as Apply does
            budget=float(seconds),
            known=known_rows(page, session),
            keep=None if demo else page.settings.runs / SWEEPS / "finished",
            progress=progress,
            should_stop=should_stop,
            on_row=swept.add,
        )
        swept.ended, swept.not_reached = done.ended, done.not_reached
        if done.ended == "cancelled":
            raise Cancelled

    return work


def check_grid(methods: Sequence[str], plans: Sequence[str], sets: Sequence[str]) -> None:
    """Raise `UserError` where a sweep has nothing to run."""
    for chosen, what in ((methods, "method"), (plans, "plan"), (sets, "calibration")):
        if not chosen:
            raise UserError(f"Choose at least one {what} to sweep over.")


def known_rows(page: Page, session: Session) -> KnownRows:
    """Finished rows: on disk, where a visitor who reloads finds them; strangers' in memory."""
    if page.settings.demo:
        return session.swept.known
    return RowFolder(page.settings.runs / SWEEPS)


def most_seconds(page: Page) -> int:
    """The longest budget that a visitor may set."""
    return int(page.settings.most_seconds or MOST_SECONDS)


def keep_apart(session: Session) -> None:
    """Keep the most sensitive layers at 8 bits, in the place of those kept before."""
    found = layers_of(session)
    if found is None:
        raise UserError("No layer is measured yet: press Measure first.")
    from analysis.sensitivity import raised

    before = session.swept.raised
    others = {n: text for n, text in session.overrides.items() if before.get(n) != text}
    session.swept.raised = raised(found, session.selection.apart)
    session.overrides = {**others, **session.swept.raised}


def load_row(session: Session, key: Any) -> str:
    """Set Quantize to a row's configuration; what a visitor should know of it, in a sentence."""
    rows = session.swept.rows
    if not (isinstance(key, str) and key.isdigit() and int(key) < len(rows)):
        raise UserError("This row is gone; press Sweep again.")
    row = rows[int(key)]
    drawn = row.calibration not in (OWN, "none")
    options = options_text({"sampler": row.calibration}) if drawn and row.method != "rtn" else ""
    session.selection = replace(
        session.selection,
        tab="quantize",
        method=row.method,
        preset=row.preset,
        without="",
        options=options,
        weight_bits=row.weight_bits,
        act_bits=row.act_bits,
    )
    names = session.opened.names
    session.overrides = {n: row.overrides[escape(n)] for n in names if escape(n) in row.overrides}
    session.calibration = None
    session.drawn["loaded"] = key
    session.drawn.pop("wrong", None)
    said = f"{row.method} {row.plan} is set; press Apply to make it."
    if drawn and row.method == "rtn":
        said += f" The row was calibrated on {row.calibration}; Apply takes the open capture."
    return said
