"""Every lesson: its steps fit the bundled capture, and its numbers are computed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from string import Formatter

import pytest

from workbench.components.guide import GLOSSARY
from workbench.lessons import LESSONS, Lesson, Step, selected, told
from workbench.lessons.facts import FACTS
from workbench.lessons.lesson import LESSONS as FILED
from workbench.page import Settings
from workbench.selection import TABS
from workbench.shell import build_page
from workbench.views.guide import go, listed

STEPS = [
    pytest.param(step, id=f"{name}-{i}")
    for name in LESSONS
    for i, step in enumerate(LESSONS.get(name).steps)
]
NAMES_WITH_DIGITS = ("PTQ4DM",)


def typed_numbers(text: str) -> list[str]:
    """Digits that stand in a text itself, not in the fields it is filled with."""
    words = "".join(literal for literal, *_ in Formatter().parse(text))
    for name in NAMES_WITH_DIGITS:
        words = words.replace(name, "")
    return re.findall(r"\d+", words)


@pytest.fixture(scope="module")
def ids_by_tab() -> dict[str, set[str]]:
    """The `elem_id` of everything on each tab of the page."""
    found: dict[str, set[str]] = {}
    for block in build_page(Settings()).blocks.values():
        place = block
        while place is not None and not (type(place).__name__ == "Tab" and place.id in TABS):
            place = place.parent
        if place is not None and getattr(block, "elem_id", None):
            found.setdefault(place.id, set()).add(block.elem_id)
    return found


def test_there_are_three_lessons_in_order():
    assert [lesson["title"] for lesson in listed()] == [
        "Why one timestep is not enough",
        "The two-humped shortcut",
        "Choosing calibration samples",
    ]
    assert FILED is LESSONS


@pytest.mark.parametrize("name", list(LESSONS))
def test_a_lesson_takes_less_than_five_minutes(name):
    lesson: Lesson = LESSONS.get(name)
    assert lesson.name == name
    assert 3 <= len(lesson.steps) <= 8
    assert lesson.minutes < 5


@pytest.mark.parametrize("step", STEPS)
def test_a_steps_selection_is_valid(step: Step, bundled):
    selection, nonsense = selected(step, bundled)
    assert nonsense == []
    assert set(step.select) <= {"t", *selection.__dataclass_fields__}
    assert f"{bundled.capture.timesteps[selection.step]:g}" == step.select["t"]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_points_at_a_part_of_its_tab(step: Step, ids_by_tab):
    assert step.at in ids_by_tab[step.select["tab"]]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_has_no_number_of_its_own(step: Step, bundled):
    selection, _ = selected(step, bundled)
    for text in (step.title, step.text, step.look):
        assert typed_numbers(text) == []
        shown = told(text, bundled, selection)
        assert "{" not in shown
        assert "n/a" not in shown


@pytest.mark.parametrize("step", STEPS)
def test_what_a_step_claims_in_words_is_so(step: Step, bundled):
    selection, _ = selected(step, bundled)
    assert step.holds(bundled, selection)


def test_every_fact_is_told():
    texts = [s for p in STEPS for s in (p.values[0].title, p.values[0].text, p.values[0].look)]
    used = {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}
    assert used == set(FACTS)


def test_these_checks_can_fail(bundled):
    assert typed_numbers("{bits} bits of 32, as in PTQ4DM") == ["32"]
    step = Step("", "", "", "", {"layer": "nowhere", "t": "480", "bits": "99"})
    assert selected(step, bundled)[1] == ["layer", "bits"]


def test_a_lesson_gives_back_what_was_open(toy, bundled):
    from workbench.selection import first_selection
    from workbench.session import Session

    session = Session("a", toy, first_selection(toy))
    before = session.selection
    shown = go(session, {"lesson": "two-humps", "step": 1})
    assert session.opened is bundled
    assert session.selection.tab == "shortcuts"
    assert (shown["index"], shown["at"]) == (1, "halves")
    go(session, {"lesson": "two-humps", "step": 2})
    assert go(session, {"lesson": None, "step": 0}) is None
    assert (session.opened, session.selection) == (toy, before)


@pytest.mark.parametrize(
    "wanted",
    [{}, {"lesson": "nope", "step": 0}, {"lesson": "two-humps", "step": 99}, {"lesson": []}],
)
def test_nonsense_starts_no_lesson(toy, wanted):
    from workbench.selection import first_selection
    from workbench.session import Session

    session = Session("a", toy, first_selection(toy))
    assert go(session, wanted) is None
    assert session.opened is toy


class Tags(HTMLParser):
    """Checks that every tag is closed in its place, and collects the terms."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.terms: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onload", "style"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "dt":
            self.terms.append(data.strip())


def test_the_glossary_is_whole_and_needs_no_network():
    tags = Tags()
    tags.feed(GLOSSARY.read_text(encoding="utf-8"))
    assert tags.open == []
    for term in ("Scale", "Zero point", "SQNR (signal-to-quantization-noise ratio)", "AdaRound"):
        assert term in tags.terms
    for term in ("Density and diversity (EDA-DM)", "Fréchet distance", "Coverage"):
        assert term in tags.terms
