"""Compare: float beside the quantized models of this visitor, from the same noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from analysis.progress import Progress, ShouldStop
from workbench.components import facts, pictures, plot, table
from workbench.components.player import player
from workbench.components.quiz import quiz
from workbench.figures.results import divergence, error_parts
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import NothingToDo, Page, Updates, check_whole, setting
from workbench.quiz import Quiz
from workbench.running import Runner
from workbench.selection import GAINS, LOOKS
from workbench.session import Session
from workbench.variants import MOST, check_some, chosen, compared, remove
from workbench.views import compare_says as say
from workbench.views.compare_pictures import film, question, shown
from workbench.views.real import Real

LOOK_TITLES = {
    "grid": "Side by side",
    "swipe": "Swipe",
    "difference": "Difference",
    "steps": "Along the steps",
    "quiz": "Blind quiz",
}


class Compare:
    """Sampling the models and looking at what came out."""

    name, title = "compare", "Compare"
    tab: Any

    def build(self, page: Page) -> None:
        """Lay out the tab."""
        self.says = facts(elem_id="comparison")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=300):
                self._build_choice(page)
            with gr.Column(scale=8, min_width=340):
                self._build_look()
        self.table = table(elem_id="metrics")
        with gr.Accordion("Every step as a table", open=False):
            self.steps_table = table(elem_id="divergence-table")
        with gr.Accordion("Real int8: seconds, bytes, and which layers run in it", open=False):
            self.real = Real()
            self.real.build()
        pictured = [self.pictures, self.player, self.quiz, self.plot]
        self.detail = [self.says, *pictured, self.table, self.steps_table]
        self.detail += self.real.detail
        self.rest = [self.picked, self.looked, self.remove, self.look, self.gain]
        self.rest += self.real.rest_of_it

    def _build_choice(self, page: Page) -> None:
        self.picked = gr.CheckboxGroup(
            [], label=f"Quantized models (up to {MOST} are kept)", elem_id="picked", visible=False
        )
        sizes = [n for n in (16, 64, 256) if n <= page.settings.most_samples]
        self.samples = gr.Radio(sizes, value=16, label="Pictures (N)", elem_id="samples")
        with gr.Row():
            self.steps = gr.Number(
                50, precision=0, label="Sampling steps", elem_id="compare-steps", min_width=110
            )
            self.seed = gr.Number(
                0, precision=0, minimum=0, label="Seed", elem_id="seed", min_width=90
            )
        self.runner = Runner("Comparing", "Compare", "run-compare")

    def _build_look(self) -> None:
        looks = [(LOOK_TITLES[name], name) for name in LOOKS]
        self.look = gr.Radio(looks, value="grid", label="Show", elem_id="mode")
        with gr.Row(elem_classes="wb-run"):
            self.looked = gr.Dropdown(
                [],
                label="Quantized model to look at",
                elem_id="looked",
                visible=False,
                scale=3,
                min_width=220,
            )
            self.gain = gr.Radio(
                list(GAINS),
                value=4,
                label="Amplify errors (times)",
                elem_id="gain",
                elem_classes="wb-bits",
                scale=3,
                min_width=260,
            )
            self.remove = gr.Button(
                "Remove it", elem_id="remove-variant", visible=False, min_width=110
            )
        self.pictures = pictures(elem_id="pictures")
        self.player = player(elem_id="player")
        self.quiz = quiz(elem_id="quiz")
        self.plot = plot(elem_id="divergence")

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        everything = [*self.detail, *self.rest]
        page.on(self.look.input, setting("look"), [self.look], self.detail)
        page.on(self.gain.input, setting("gain"), [self.gain], self.detail)
        page.on(self.picked.input, _pick, [self.picked], [self.says])
        page.on(self.looked.input, _look_at, [self.looked], self.detail)
        page.on_part(self.table, "select", _look_at_row, everything)
        page.on(self.remove.click, _remove, [self.looked], everything)
        page.on_part(self.quiz, "answer", _answer, [self.quiz])
        page.on_part(self.quiz, "again", _again, [self.quiz])

        def prepare(session: Session, samples: int, steps: int, seed: float) -> Work:
            return compare_work(page, session, samples, steps, seed)

        asked = [self.samples, self.steps, self.seed]
        self.runner.wire(page, prepare, asked)
        self.real.wire(page, asked)

    def paint(self, session: Session) -> Updates:
        """The comparison made last, or what to do first."""
        side, look = session.side, session.selection.look
        updates = {self.says: say.head(session), **self._paint_controls(session)}
        updates |= self.real.paint(session)
        if side is None:
            session.shown.pop(id(self.player), None)
            parts = [self.pictures, self.player, self.quiz, self.plot]
            return {**updates, **dict.fromkeys([*parts, self.table, self.steps_table])}
        one = side.of(session.drawn.get("looked"))
        curves = {each.label: each.values["divergence"] for each in side.seen}
        values = [one.values[name] for name in ("divergence", "fresh", "inherited")]
        return {
            **updates,
            self.pictures: shown(session) if look in ("grid", "swipe", "difference") else None,
            **self._paint_film(session),
            self.quiz: question(session) if look == "quiz" else None,
            self.plot: error_parts(*values) if look == "steps" else divergence(curves),
            self.table: say.metrics(side, one.number),
            self.steps_table: say.steps(one),
        }

    def _paint_controls(self, session: Session) -> Updates:
        variants, selection = session.variants, session.selection
        labels = [(v.label, v.number) for v in variants]
        ticked = [v.number for v in chosen(session)]
        numbers = [v.number for v in variants]
        looked = session.drawn.get("looked")
        looked = looked if looked in numbers else numbers[-1] if numbers else None
        there = bool(variants)
        return {
            self.look: selection.look,
            self.gain: selection.gain,
            self.picked: gr.CheckboxGroup(choices=labels, value=ticked, visible=there),
            self.looked: gr.Dropdown(choices=labels, value=looked, visible=there),
            self.remove: gr.Button(visible=there),
        }

    def _paint_film(self, session: Session) -> Updates:
        """The player: sent again only when something else is to be played."""
        side, selection = session.side, session.selection
        one = side.of(session.drawn.get("looked"))
        state = (id(side), one.number, selection.gain) if selection.look == "steps" else None
        if session.shows(self.player, state):
            return {}
        return {self.player: film(side, one, selection.gain) if state else None}


def compare_work(page: Page, session: Session, samples: Any, steps: Any, seed: Any) -> Work:
    """The work behind Compare; `UserError` for what cannot be run."""
    variants, settings = check_some(session), page.settings
    for name, value, least, most in (
        ("steps", steps, 1, settings.most_steps),
        ("samples", samples, 1, settings.most_samples),
        ("seed", seed, 0, 2**32),
    ):
        check_whole(name, value, least, most)

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy(progress, should_stop)
        from analysis.side_by_side import side_by_side

        done = side_by_side(
            variants[-1].model,
            [variant.quantized for variant in variants],
            samples=int(samples),
            steps=int(steps),
            seed=int(seed),
            progress=progress,
            should_stop=should_stop,
        )
        side = compared(variants, done)
        last = done.comparisons[-1]
        session.side = side
        session.drawn.pop("quiz", None)
        session.quantized = variants[-1].quantized
        session.comparison = replace(
            last, reference=side.floating, candidate=side.seen[-1].pictures
        )

    return work


def _pick(session: Session, numbers: Any) -> None:
    wanted = set(numbers or ())
    session.drawn["left_out"] = {v.number for v in session.variants if v.number not in wanted}


def _look_at(session: Session, number: Any) -> None:
    session.drawn["looked"] = number


def _look_at_row(session: Session, number: Any, index: Any) -> None:
    if not any(v.number == number for v in session.variants):
        raise NothingToDo
    session.drawn["looked"] = number


def _remove(session: Session, number: Any) -> None:
    remove(session, number)
    session.drawn.pop("looked", None)


def _answer(session: Session, value: Any, number: Any) -> None:
    """Count one answer; what it was is said with the next question."""
    quiz = session.drawn.get("quiz")
    if not isinstance(quiz, Quiz) or value not in ("a", "b"):
        raise NothingToDo
    correct = quiz.answer(number, value == "a")
    if correct is None:
        raise NothingToDo
    session.drawn["quiz_last"] = correct


def _again(session: Session, value: Any, index: Any) -> None:
    session.drawn.pop("quiz", None)
