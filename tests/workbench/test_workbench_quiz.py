"""The blind quiz: what counts, what the chance is, and that nothing tells the order before."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest

from workbench.pictures import data_address, grid
from workbench.quiz import Quiz, at_least
from workbench.selection import first_selection
from workbench.session import Session
from workbench.variants import Compared, Seen
from workbench.views.compare import _again, _answer
from workbench.views.compare_pictures import question

VALUES = {"divergence": [0.1], "fresh": [0.1], "inherited": [0.0]}


@pytest.mark.parametrize(("right", "of"), [(0, 0), (0, 5), (3, 5), (5, 5), (9, 16), (40, 64)])
def test_the_chance_is_that_of_the_binomial_test(right, of):
    expected = binomtest(right, of, 0.5, "greater").pvalue if of else 1.0
    assert at_least(right, of) == pytest.approx(expected)


def test_every_sample_is_asked_once_in_an_order_that_is_drawn():
    orders = set()
    for _ in range(20):
        quiz, asked = Quiz(8), []
        while not quiz.over:
            asked.append(quiz.sample)
            quiz.answer(quiz.number, True)
        assert sorted(asked) == list(range(8))
        orders.add(tuple(asked))
    assert len(orders) > 10


def test_sides_are_drawn_apart_and_evenly():
    sides = []
    quiz = Quiz(400)
    while not quiz.over:
        sides.append(quiz.float_first)
        quiz.answer(quiz.number, True)
    assert binomtest(sum(sides), 400).pvalue > 1e-6
    assert quiz.right == sum(sides)
    assert quiz.answered == 400


def test_right_answers_are_counted():
    quiz = Quiz(3, draw=lambda below: below - 1)  # float is always first
    assert quiz.answer(0, first=True) is True
    assert quiz.answer(1, first=False) is False
    assert (quiz.right, quiz.answered) == (1, 2)
    assert quiz.chance == pytest.approx(0.75)


def test_a_question_is_answered_once():
    quiz = Quiz(2)
    quiz.answer(0, True)
    assert quiz.answer(0, True) is None
    assert quiz.answer(7, True) is None
    quiz.answer(1, True)
    assert quiz.over
    assert quiz.answer(2, True) is None
    assert quiz.answered == 2


@pytest.fixture
def session(toy):
    random = np.random.default_rng(0)
    floating, rounded = random.random((2, 4, 1, 5, 5))
    film = np.zeros((1, 1, 1, 5, 5))
    seen = Seen(1, "1: W4A8", rounded, VALUES, film, film)
    made = Session("me", toy, replace(first_selection(toy), tab="compare", look="quiz"))
    made.side = Compared(floating, film, np.array([0]), np.array([9.0]), (seen,))
    return made


def test_the_page_is_shown_both_pictures_and_not_which_is_which(session):
    shown = question(session)
    quiz, side = session.drawn["quiz"], session.side
    pair = [p[quiz.sample : quiz.sample + 1] for p in (side.floating, side.seen[0].pictures)]
    addresses = [data_address(grid(p)) for p in pair]
    assert [shown["a"], shown["b"]] == (addresses if quiz.float_first else addresses[::-1])
    quiz.float_first = not quiz.float_first
    other = question(session)
    told = {key: value for key, value in shown.items() if key not in ("a", "b")}
    assert told == {key: value for key, value in other.items() if key not in ("a", "b")}
    assert (other["a"], other["b"]) == (shown["b"], shown["a"])


def test_answers_move_on_and_the_score_says_the_chance(session):
    question(session)
    first = session.drawn["quiz"].float_first
    _answer(session, "a" if first else "b", 0)
    shown = question(session)
    assert shown["number"] == 1
    assert shown["last"] == "Right."
    assert "1 of 1 right" in shown["score"]
    assert "probability 0.5" in shown["score"]
    for number in (1, 2, 3):
        _answer(session, "a", number)
    assert question(session)["a"] is None
    _again(session, None, 0)
    assert question(session)["number"] == 0


def test_what_is_no_answer_changes_nothing(session):
    from workbench.page import NothingToDo

    with pytest.raises(NothingToDo):
        _answer(session, "a", 0)
    question(session)
    for value, number in (("c", 0), (None, 0), ("a", 3), ("a", "x"), ("a", None)):
        with pytest.raises(NothingToDo):
            _answer(session, value, number)
    assert session.drawn["quiz"].answered == 0


def test_another_model_is_another_quiz(session):
    question(session)
    _answer(session, "a", 0)
    two = replace(session.side.seen[0], number=2)
    session.side = replace(session.side, seen=(session.side.seen[0], two))
    session.drawn["looked"] = 2
    assert question(session)["number"] == 0


def test_a_film_that_is_cut_is_labelled_by_the_steps_that_are_in_it(session):
    from workbench.views.compare_pictures import film

    values = {name: [0.01 * i for i in range(5)] for name in VALUES}
    x = np.zeros((2, 1, 1, 5, 5))
    one = Seen(1, "1: W4A8", np.zeros((1, 1, 5, 5)), values, x + 2.0, x + 0.5)
    side = Compared(np.zeros((1, 1, 5, 5)), x, np.array([0, 4]), np.array([80.0, 0.0]), (one,))
    shown = film(side, one, gain=2)
    assert shown["frames"] == 2
    assert shown["labels"][1].startswith("Step 5 of 5, t = 0: error 4 %")
    assert "full colour at ±0.75" in shown["strips"][3]["caption"]


def test_nothing_to_compare_says_what_to_do_first(session):
    from workbench.views.compare_says import head

    session.side = None
    assert "First open Quantize" in head(session)["text"]
    session.variants = [SimpleNamespace(number=1)]
    assert head(session)["title"] == "Ready"
