"""Lesson: the two halves of a U-Net's shortcut, and a grid for each."""

from __future__ import annotations

from workbench.captures import OpenCapture
from workbench.lessons.lesson import LESSONS, Lesson, Step
from workbench.lessons.shortcut_facts import gain, report, reports
from workbench.selection import Selection

WIDE = {"layer": "up_blocks.2.resnets.0.conv_shortcut", "t": "480"}
ALIKE = {"layer": "up_blocks.0.resnets.0.conv_shortcut", "t": "480"}


def humps_apart(opened: OpenCapture, selection: Selection) -> bool:
    """The chosen shortcut passes both tests."""
    return bool(report(opened, selection).bimodal)


def drowned(opened: OpenCapture, selection: Selection) -> bool:
    """With one grid the narrow half's error is about as loud as its signal."""
    return abs(report(opened, selection).sqnr_db_small_half_joint[4]) < 1


def helps(opened: OpenCapture, selection: Selection) -> bool:
    """A grid of its own helps the narrow half, by more than the whole input, at any bits."""
    one = report(opened, selection)
    return all(
        one.sqnr_db_small_half_split[b] - one.sqnr_db_small_half_joint[b]
        > max(0, one.sqnr_db_split[b] - one.sqnr_db_joint[b])
        for b in one.sqnr_db_split
    )


def alike(opened: OpenCapture, selection: Selection) -> bool:
    """The chosen shortcut is not bimodal, others are, and a second grid gives it under 1 dB."""
    one = report(opened, selection)
    others = any(other.bimodal for other in reports(opened, selection))
    return others and not one.bimodal and gain(one) < 1


LESSONS.register("two-humps")(
    Lesson(
        "two-humps",
        place=1,
        title="The two-humped shortcut",
        about="Two tensors of different size glued together, and why they need two grids.",
        steps=(
            Step(
                "What a shortcut is",
                "The network makes the picture small, then large again. On the way up every "
                "stage receives two tensors glued together: h, fresh from the stage below, and "
                "skip, kept from the way down so that details survive. This model has {shortcuts} "
                "such places, called shortcuts.",
                "Every row is one shortcut. The column “Wide by narrow” says how many "
                "times wider the values of one half are than those of the other.",
                at="shortcut-table",
                select={**WIDE, "tab": "shortcuts"},
            ),
            Step(
                "Two humps",
                "In this shortcut the values of {wide_half} reach {ratio} times as wide as those "
                "of {narrow_half}. Drawn together they make two humps: numbers of two sizes in one "
                "tensor.",
                "The two colours are the two halves. One is broad and flat, the other tall and "
                "narrow.",
                at="halves",
                select={**WIDE, "tab": "shortcuts"},
                holds=humps_apart,
            ),
            Step(
                "One ladder for both",
                "With {shortcut_bits} bits there are {shortcut_levels} rungs. They must reach the "
                "widest values, so they stand far apart, and {narrow_half} gets by with "
                "{narrow_levels} of them. Its signal stands {shared_db} dB above the error: error "
                "and signal are about equally loud, and what this half wanted to say is lost.",
                "Find the dashed curve, one scale for both, at {shortcut_bits} bits. The other "
                "curve is the next step.",
                at="small-half",
                select={**WIDE, "tab": "shortcuts"},
                holds=drowned,
            ),
            Step(
                "A ladder for each half",
                "Q-Diffusion cuts the tensor where it was glued and gives each half its own "
                "ladder. At {shortcut_bits} bits {narrow_half} goes from {shared_db} to {own_db} "
                "dB, a gain of {gained_db} dB, and all it takes is one more scale.",
                "The solid curve stays above the dashed one at every number of bits. In the plot "
                "below it, of both halves together, the wide half hides the gain.",
                at="small-half",
                select={**WIDE, "tab": "shortcuts"},
                holds=helps,
            ),
            Step(
                "Not every shortcut has two humps",
                "Here the halves are alike: {ratio} times, and a second ladder gains {gained_db} "
                "dB. Two tests decide. The dip test asks whether there is more than one hump; its "
                "p of {dip_p} would have to be below {dip_limit}. Ashman's D asks how far apart "
                "they stand; {apart} would have to exceed {apart_limit}. At t = {t}, {two_humped} "
                "of {shortcuts} shortcuts pass both.",
                "Read the verdict and the tiles, then pick other rows in the table above.",
                at="shortcut-facts",
                select={**ALIKE, "tab": "shortcuts"},
                holds=alike,
            ),
            Step(
                "When it pays",
                "At t = {t} a second ladder gives the narrow halves between {least_gain} and "
                "{most_gain} dB at {shortcut_bits} bits. So splitting matters most where bits are "
                "few. The plan {plan} keeps weights at {weight_bits} bits and activations at "
                "{act_bits}.",
                "Open “Method” and choose Q-Diffusion: it splits every shortcut. Apply "
                "then makes the model, and Compare shows its pictures.",
                at="method",
                select={**WIDE, "tab": "quantize", "weight_bits": "4", "act_bits": "4"},
            ),
        ),
    )
)
