"""Lesson: ranges move while the picture forms, so no single timestep can calibrate for all."""

from __future__ import annotations

import numpy as np

from workbench.captures import OpenCapture
from workbench.lessons.facts import stats_of, widths
from workbench.lessons.lesson import LESSONS, Lesson, Step
from workbench.lessons.time_facts import cost_elsewhere, curves
from workbench.selection import Selection

LAYER = "mid_block.resnets.0.conv2"
EARLY, LATE = {"layer": LAYER, "t": "980"}, {"layer": LAYER, "t": "0"}
ONE_BIT = 20 * np.log10(2)  # dB


def widens_towards_the_picture(opened: OpenCapture, selection: Selection) -> bool:
    """The selected layer is widest in the last tenth, narrowest before the last fifth."""
    width = widths(stats_of(opened, selection))
    late = opened.steps // 10
    return width.argmax() >= opened.steps - late and width.argmin() < opened.steps - 2 * late


def cuts_off_later(opened: OpenCapture, selection: Selection) -> bool:
    """The selected timestep's grid is too short where it costs most, more than a bit."""
    cost, width = cost_elsewhere(opened, selection), widths(stats_of(opened, selection))
    worst = cost.argmax()
    return worst > selection.step and width[worst] > width[selection.step] and cost.max() > ONE_BIT


def wastes_rungs_earlier(opened: OpenCapture, selection: Selection) -> bool:
    """The selected timestep's grid costs most at a narrower timestep before it."""
    cost, width = cost_elsewhere(opened, selection), widths(stats_of(opened, selection))
    return cost.argmax() < selection.step and width[cost.argmax()] < width[selection.step]


def all_beats_one(opened: OpenCapture, selection: Selection) -> bool:
    """At its worst, the grid over all timesteps is a bit better than the selected one's."""
    _, everything, one = curves(opened, selection)
    return everything.min() > one.min() + ONE_BIT


LESSONS.register("one-timestep")(
    Lesson(
        "one-timestep",
        place=0,
        title="Why one timestep is not enough",
        about="What quantizing is, and why a model that draws in many steps makes it hard.",
        steps=(
            Step(
                "A picture is made in many small steps",
                "The model starts from pure noise and takes a little of it away, {steps} times, "
                "until a picture is left. Its clock, the timestep t, runs from {first_t} (noise) "
                "down to {last_t} (picture). In this map every row is one of {layers} layers of "
                "the network, every column one moment.",
                "Follow a row from left to right. Where its colour changes, the numbers that "
                "this layer has to carry grow or shrink while the picture forms.",
                at="heatmap",
                select={**EARLY, "tab": "explore", "stat": "absmax"},
            ),
            Step(
                "Quantizing: numbers on a ladder",
                "A number usually takes {float_bits} bits. Quantizing keeps only {bits}: now "
                "there are just {levels} possible values, evenly spaced like the rungs of a "
                "ladder, and every number moves to the nearest rung. The model gets smaller and "
                "can run faster; the moves are errors.",
                "The hill shows the values that enter this layer, the thin upright lines are the "
                "rungs. Choose other bits under “What if the grid were another?” and watch them.",
                at="histogram",
                select={**LATE, "tab": "explore", "stat": "absmax", "bits": "4"},
            ),
            Step(
                "The values do not stay put",
                "In this layer the values span {narrowest} units at t = {narrowest_t}, but "
                "{widest} at t = {widest_t}: {widening} times as much. It is no exception: half "
                "of the model's {convolutions} convolutions widen by {typical_widening} times or "
                "more.",
                "Every ridge is one moment. See how the ridges get broader towards the picture.",
                at="over-time",
                select={**LATE, "tab": "time", "plot": "ridge"},
                holds=widens_towards_the_picture,
            ),
            Step(
                "A ladder made for one moment",
                "Choosing where the ladder begins and ends is called calibration. Suppose we look "
                "at t = {t} only. Later the values outgrow this ladder, and what lies beyond its "
                "ends is cut off. At t = {one_loses_at} that costs {one_loses} dB. A decibel (dB) "
                "says how far the signal stands above the error, and {decibels_a_bit} dB are worth "
                "one bit: {one_loses_bits} of our {bits} bits are gone.",
                "Higher is better. Find the curve “calibrated at t = {t} only” and where it falls.",
                at="calibration-error",
                select={**EARLY, "tab": "time", "bits": "8"},
                holds=cuts_off_later,
            ),
            Step(
                "The widest moment is no cure",
                "Made at t = {t}, the ladder is long enough for every moment. But where the "
                "values are narrow they use only {least_filled} % of its length, and most rungs "
                "stand idle. The worst moment is now t = {one_loses_at}, and it loses {one_loses} "
                "dB.",
                "The same curve no longer plunges. It sags at the noisy end instead.",
                at="calibration-error",
                select={**LATE, "tab": "time", "bits": "8"},
                holds=wastes_rungs_earlier,
            ),
            Step(
                "Look at all of the way",
                "A ladder calibrated on values from noise to picture has {all_worst} dB at its "
                "worst moment; the one made at t = {t} had {one_worst}. Sharing one ladder still "
                "costs up to {sharing_loses} dB against a ladder for every moment. Which moments "
                "to look at, and how often, is the third lesson.",
                "Compare the three curves. Then move the timestep in the bar at the top: the "
                "third curve changes with it.",
                at="calibration-error",
                select={**EARLY, "tab": "time", "bits": "8"},
                holds=all_beats_one,
            ),
        ),
    )
)
