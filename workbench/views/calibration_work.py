"""The long work of the calibration lab: drawing, measuring, repeating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analysis.errors import UserError
from analysis.progress import Progress, ShouldStop, check_stop
from workbench.heavy import load_heavy
from workbench.jobs import Work, unless_stopped
from workbench.lab import Conditions, Kept, Lab, Placed, Wish
from workbench.page import Page, check_whole
from workbench.prediction import planned
from workbench.running import model_of
from workbench.samplers import checked_counts, counts_of
from workbench.selection import MOST_REPEATS, MOST_SEED
from workbench.session import Session

PLACING = 100.0  # samples that the denoiser could be given while features are put on a plane
NOTHING_DRAWN = "There are no sets yet; choose samplers and press Draw first."


def wishes(
    page: Page, session: Session, names: Sequence[str], size: Any, steps: Any, seed: Any
) -> list[Wish]:
    """The sets that the form asks for.

    Raises:
        UserError: when no sampler is chosen, or a number is none or out of its limits.
    """
    if not names:
        raise UserError("No sampler is chosen; tick at least one.")
    check_whole("Samples", size, 1, page.settings.most_samples)
    check_whole("Steps", steps, 1, page.settings.most_steps)
    check_whole("Seed", seed, 0, MOST_SEED)
    whole = int(size), int(steps), int(seed)
    spec = session.opened.capture.spec
    how = spec.scheduler, spec.prompt, spec.guidance_scale
    return [replace(_wish(page, session, name, *whole), how=how) for name in names]


def _wish(page: Page, session: Session, name: str, size: int, steps: int, seed: int) -> Wish:
    if name != "custom":
        return Wish(name, size, steps, seed)
    counts = checked_counts(counts_of(session.selection.custom, steps, size))
    check_whole("The total of the histogram", sum(counts), 1, page.settings.most_samples)
    return Wish(name, sum(counts), steps, seed, counts)


def draw_work(page: Page, session: Session, *form: Any) -> Work:
    """Draw what is not there yet, and put everything on a plane."""
    wanted, lab = wishes(page, session, *form), session.lab
    if not lab.missing(wanted):
        raise UserError(
            "These sets are drawn already; choose other samplers, another size or another seed."
        )

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy(progress, should_stop)
        from analysis.lab.parts import in_parts

        model = model_of(session, page.models)
        _keep_one_model(session, model.digest)
        _check(wanted)
        drawing, placing = in_parts(progress, [sum(map(_cost, wanted)), PLACING])
        try:
            how = sampled(session, model)
            _draw(lab, model, how, lab.missing(wanted), drawing, should_stop)
        finally:
            _place(lab, "pca")
        _place_slowly(lab, placing, should_stop)

    return work


def _keep_one_model(session: Session, digest: str) -> None:
    if session.lab.model_digest != digest:
        session.lab.clear()
        session.lab.model_digest, session.calibration = digest, None


def _check(wanted: Sequence[Wish]) -> None:
    """Raise `UserError` for what a sampler cannot draw, before anything is run."""
    from analysis.calibration.samplers import make_sampler

    for wish in wanted:
        make_sampler(wish.sampler, wish.options).check(wish.steps, wish.size)


def sampled(session: Session, model: Any) -> Any:
    """As the open capture was, if it is one of this model; else in the model's own way."""
    from analysis.lab.draw import Sampling

    capture = session.opened.capture
    same = capture.model_digest == model.digest
    return Sampling.of(capture.spec) if same else Sampling()


def _draw(
    lab: Lab,
    model: Any,
    how: Any,
    wanted: Sequence[Wish],
    progress: Progress,
    should_stop: ShouldStop,
) -> None:
    from analysis.lab.draw import draw_set, landscape
    from analysis.lab.parts import in_parts

    steps = wanted[0].steps
    land = lab.land if lab.land and (lab.land.steps, lab.land.how) == (steps, how) else None
    looking, *drawing = in_parts(progress, [0 if land else 16 * steps, *map(_cost, wanted)])
    land = land or landscape(model, steps, how, looking, should_stop)
    for wish, told in zip(wanted, drawing, strict=True):
        arguments = (wish.sampler, wish.size, wish.seed, told, should_stop)
        drawn = draw_set(model, land, *arguments, **wish.options)
        lab.land, lab.chosen = land, lab.add(wish, drawn).key


def _cost(wish: Wish) -> float:
    """About how many samples the denoiser is given for a set."""
    if wish.sampler == "gaussian":
        return wish.size
    if wish.sampler == "forward":
        return wish.size * wish.steps
    own = wish.size * wish.steps / 2 if wish.sampler == "random" else wish.size
    return own + wish.size + (16 * wish.steps if wish.sampler == "tdac" else 0)


def _place_slowly(lab: Lab, progress: Progress, should_stop: ShouldStop) -> None:
    """t-SNE and, where it is installed, UMAP: a Cancel leaves them to end unheard."""
    from analysis.lab.embedding import TITLES, available

    slow = [method for method in available() if method != "pca"]
    for done, method in enumerate(slow):
        check_stop(should_stop)
        progress(done, len(slow), f"{TITLES[method]} of the features")
        _place(lab, method, should_stop)


def _place(lab: Lab, method: str, should_stop: ShouldStop = lambda: False) -> None:
    from analysis.lab.embedding import embed

    if lab.land is None:  # nothing was drawn, or all was removed meanwhile
        return
    vectors, parts, rows = lab.vectors()
    points = unless_stopped(lambda: embed(vectors, method), should_stop)
    lab.placed[method] = Placed(points, parts, rows)


def effect_work(page: Page, session: Session) -> Work:
    """Round with every set's ranges, and with the capture's, and measure one step."""
    lab, opened = session.lab, session.opened
    if not lab.kept or lab.land is None:
        raise UserError(NOTHING_DRAWN)
    plan = planned(session)
    conditions = Conditions(plan, opened.key, lab.land.steps, lab.land.how)

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        from analysis.lab.effect import check_rounds_activations, effect_of, hold_out
        from analysis.lab.parts import in_parts

        model = _same_model(page, session)
        check_rounds_activations(model, plan)
        lab.measure_under(conditions)
        missing = [kept for kept in lab.kept if kept.effect is None]
        holding, first, *others = in_parts(progress, [1, 1, *(3 for _ in missing)])
        held = hold_out(
            model, conditions.steps, conditions.how, progress=holding, should_stop=should_stop
        )
        if lab.reference is None:
            lab.reference = effect_of(model, opened.capture, plan, held, first, should_stop)
        for kept, told in zip(missing, others, strict=True):
            calibration = kept.drawn.calibration
            kept.effect = effect_of(model, calibration, plan, held, told, should_stop)

    return work


def stability_work(page: Page, session: Session, repeats: Any) -> Work:
    """Repeat the chosen set's calibration with other seeds."""
    lab, kept = session.lab, session.lab.selected
    if kept is None:
        raise UserError(NOTHING_DRAWN)
    check_whole("Repeats", repeats, 2, MOST_REPEATS)
    plan, wish = planned(session), kept.wish

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        from analysis.lab.effect import hold_out
        from analysis.lab.parts import in_parts
        from analysis.lab.stability import stability

        model = _same_model(page, session)
        holding, repeating = in_parts(progress, [1, 4 * repeats])
        how = sampled(session, model)
        held = hold_out(model, wish.steps, how, progress=holding, should_stop=should_stop)
        found = stability(
            model,
            plan,
            held,
            wish.sampler,
            wish.size,
            wish.steps,
            wish.seed,
            int(repeats),
            how,
            repeating,
            should_stop,
            **wish.options,
        )
        lab.stability = (repeated(kept, plan.text), found)

    return work


def repeated(kept: Kept, plan: str) -> str:
    """What was repeated, in words."""
    wish = kept.wish
    return f"{wish.sampler}, {wish.size} samples, {wish.steps} steps, {plan}"


def _same_model(page: Page, session: Session) -> Any:
    """The session's model, if the sets were drawn for it."""
    load_heavy()
    model = model_of(session, page.models)
    if session.lab.model_digest != model.digest:
        raise UserError("The sets were drawn for another model; remove them and draw again.")
    return model
