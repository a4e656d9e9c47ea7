"""What Compare shows of a comparison: grids, swipe, differences, the film, and the quiz."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.pictures import data_address, difference, grid, noisy, signed, strip
from workbench.quiz import Quiz
from workbench.session import Session
from workbench.variants import Compared, Seen


def shown(session: Session) -> dict[str, Any]:
    """Grids of all pictures in the look that is chosen."""
    side, look = session.side, session.selection.look
    if look == "swipe":
        one = side.of(session.drawn.get("looked"))
        swipe = {
            "under": data_address(grid(side.floating)),
            "over": data_address(grid(one.pictures)),
            "caption": f"Left of the line float, right of it {one.label}; arrow keys move it",
        }
        return {"mode": look, "figures": [], "swipe": swipe}
    figures = [_figure(grid(side.floating), "Float")]
    for one in side.seen:
        if look == "difference":
            gain = session.selection.gain
            caption = f"{one.label}, minus float, {gain} times: orange brighter, blue darker"
            figures.append(_figure(difference(side.floating, one.pictures, gain), caption))
        else:
            figures.append(_figure(grid(one.pictures), one.label))
    return {"mode": look, "figures": figures}


def film(side: Compared, one: Seen, gain: int) -> dict[str, Any]:
    """The first samples after every step, and both parts of their error in the same colours."""
    fresh, inherited = one.one_step - side.x, one.x_q - one.one_step
    top = max(float(np.abs(part).max()) for part in (fresh, inherited)) or 1.0
    each = f"full colour at ±{top / gain:.2g}"
    strips = [
        (noisy(side.x), "Float, after the step"),
        (noisy(one.x_q), f"Quantized: {one.label}"),
        (signed(fresh, gain / top), f"Fresh error: made in this step ({each})"),
        (signed(inherited, gain / top), f"Inherited: from all earlier steps ({each})"),
    ]
    return {
        "frames": len(side.steps),
        "strips": [_figure(strip(frames), caption) for frames, caption in strips],
        "labels": [
            _step_label(one, int(step), float(t))
            for step, t in zip(side.steps, side.timesteps, strict=True)
        ],
    }


def _step_label(one: Seen, step: int, t: float) -> str:
    total, fresh, inherited = (
        100 * one.values[name][step] for name in ("divergence", "fresh", "inherited")
    )
    return (
        f"Step {step + 1} of {len(one.values['divergence'])}, t = {t:g}: error {total:.3g} % of "
        f"|x|; fresh {fresh:.3g} %, inherited {inherited:.3g} % (they may cancel in part)"
    )


def question(session: Session) -> dict[str, Any]:
    """The open question of the quiz; a new quiz where there is none of this model."""
    side = session.side
    one = side.of(session.drawn.get("looked"))
    quiz = session.drawn.get("quiz")
    about = (id(side), one.number)
    if not isinstance(quiz, Quiz) or session.drawn.get("quiz_about") != about:
        quiz = Quiz(len(one.pictures))
        session.drawn |= {"quiz": quiz, "quiz_about": about, "quiz_last": None}
    return {**_pair(quiz, side, one), **_score(quiz, session.drawn.get("quiz_last"))}


def _pair(quiz: Quiz, side: Compared, one: Seen) -> dict[str, Any]:
    if quiz.over:
        return {"number": quiz.number, "question": "That was the last picture.", "a": None}
    floating, rounded = (
        data_address(grid(pictures[quiz.sample : quiz.sample + 1]))
        for pictures in (side.floating, one.pictures)
    )
    first, second = (floating, rounded) if quiz.float_first else (rounded, floating)
    return {
        "number": quiz.number,
        "question": f"Pair {quiz.number + 1} of {quiz.samples}, from the same noise, one float and "
        f"one quantized ({one.label}). Which is float?",
        "a": first,
        "b": second,
    }


def _score(quiz: Quiz, last: bool | None) -> dict[str, str]:
    if quiz.answered == 0 or last is None:
        return {"last": "", "score": "No answer yet. Guessing gives half of them right."}
    score = (
        f"{quiz.right} of {quiz.answered} right. Someone who guesses gets that many or more with "
        f"probability {quiz.chance:.2g}"
    )
    verdict = (
        ": you do see the difference." if quiz.chance < 0.05 else ": it may well have been luck."
    )
    return {"last": "Right." if last else "Wrong.", "score": score + verdict}


def _figure(picture: Any, caption: str) -> dict[str, str]:
    return {"source": data_address(picture), "caption": caption}
