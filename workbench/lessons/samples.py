"""Lesson: which timesteps a calibration set is taken from, and what that decides."""

from __future__ import annotations

from workbench.captures import OpenCapture
from workbench.lessons.choice_facts import halves, losers, worst_db
from workbench.lessons.facts import stats_of, widths
from workbench.lessons.lesson import LESSONS, Lesson, Step
from workbench.selection import Selection

LATE_LAYER = {"layer": "down_blocks.0.resnets.1.conv2", "bits": "8"}
MIDDLE_LAYER = {"layer": "up_blocks.2.resnets.3.conv2", "bits": "8"}


DRAWN = {"samplers": "single.ndtc.tdac", "cal_size": "32", "cal_steps": "10"}


def three_are_chosen(opened: OpenCapture, selection: Selection) -> bool:
    """The samplers that the text explains, and no others, are ticked."""
    return set(selection.samplers.split(".")) == {"single", "ndtc", "tdac"}


def noisy_half_is_worse(opened: OpenCapture, selection: Selection) -> bool:
    """A grid from the noisy half is worse at its worst than one from the clear half."""
    noisy, clear = (worst_db(opened, selection, selection.layer, half) for half in halves(opened))
    return noisy < clear - 6


def widest_inside(opened: OpenCapture, selection: Selection) -> bool:
    """The layer is widest at neither end of the run."""
    place = int(widths(stats_of(opened, selection)).argmax())
    return opened.steps // 10 < place < opened.steps - 1


def more_lose_by_the_noisy_half(opened: OpenCapture, selection: Selection) -> bool:
    """More convolutions lose a bit by a set from the noisy half than by one from the clear."""
    noisy, clear = (losers(opened, selection, half) for half in halves(opened))
    return noisy > clear


LESSONS.register("samples")(
    Lesson(
        "samples",
        place=2,
        title="Choosing calibration samples",
        about="A few noisy pictures decide all grids. Which ones should they be?",
        steps=(
            Step(
                "What a calibration set is",
                "To choose its ladders, the network runs once on a small set of samples: noisy "
                "pictures, each with its timestep. The values it meets there decide where every "
                "ladder begins and ends. So picking the set means picking moments of the way from "
                "noise to picture. (The capture on this page has looked at {samples} pictures at "
                "all of {steps} moments, so we can see what a smaller set would miss.)",
                "The pale band holds all values of this layer, moment by moment. A ladder has to "
                "span it where it is widest, and it can only know what was in the set.",
                at="over-time",
                select={**LATE_LAYER, "t": "980", "tab": "time", "plot": "bands"},
            ),
            Step(
                "A set from one half",
                "If all samples come from the noisy half, this layer has {noisy_half_db} dB at its "
                "worst moment. If all come from the clear half it has {clear_half_db}, and from "
                "both {both_halves_db}. (More is better; {decibels_a_bit} dB are one bit.)",
                "Every box shows how wide the ranges of the layer's channels are at one "
                "moment. Boxes that rise towards the picture are what PTQ4DM reported first.",
                at="over-time",
                select={**LATE_LAYER, "t": "980", "tab": "time", "plot": "boxes"},
                holds=noisy_half_is_worse,
            ),
            Step(
                "Layers disagree",
                "This layer is widest at t = {widest_t}, at neither end. No single moment serves "
                "all layers: of {convolutions} convolutions {noisy_half_losers} lose a bit or more "
                "somewhere if the set comes from the noisy half, {clear_half_losers} if it comes "
                "from the clear half.",
                "The lines at the edge of the palest band are the least and greatest values. "
                "Find the moment where they are furthest apart.",
                at="over-time",
                select={**MIDDLE_LAYER, "t": "140", "tab": "time", "plot": "bands"},
                holds=lambda o, s: widest_inside(o, s) and more_lose_by_the_noisy_half(o, s),
            ),
            Step(
                "Three ways to pick moments",
                "“One timestep only” is what serves ordinary networks. NDTC, of PTQ4DM, "
                "draws moments from a bell curve that leans towards the picture. TDAC, of EDA-DM, "
                "prefers moments that resemble many others (density) or no other (diversity).",
                "Press Draw; it runs the model for a short while. Then the bars show how many of "
                "{cal_size} samples each way has put at each of {cal_steps} moments.",
                at="samplers",
                select={**DRAWN, "t": "480", "tab": "calibration"},
                holds=three_are_chosen,
            ),
            Step(
                "What a set has not seen",
                "Inside the network every noisy picture becomes a list of numbers, a point in a "
                "space of many dimensions; here it is flattened. The faint points are runs that "
                "are in no set. Coverage is the share of them that have a calibration sample "
                "nearby: at full coverage nothing comes as a surprise.",
                "Where are the samples of “One timestep only”, and which faint points are far from "
                "all of them? The table above the plot tells every set's coverage. (If nothing is "
                "drawn yet, go back one step and press Draw.)",
                at="scatter",
                select={**DRAWN, "t": "480", "tab": "calibration"},
            ),
            Step(
                "Judge a set by what it does",
                "No way of picking is best for every model, and a good name is no proof. What "
                "counts is how little the quantized network's prediction changes, at every "
                "moment. With “Use for Apply” the chosen set calibrates the next model "
                "you make in Quantize.",
                "Press Measure. The upper plot says how far the prediction stands above its error, "
                "the lower one what each set gains or loses beside the capture. Higher is better; "
                "look for moments at which one set falls behind.",
                at="effect-says",
                select={**DRAWN, "t": "480", "tab": "calibration"},
            ),
        ),
    )
)
