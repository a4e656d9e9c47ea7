"""Figures of the calibration lab: what is drawn, by its numbers."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from workbench.figures import calibration as figures
from workbench.figures import calibration_effect as effects
from workbench.figures.calibration import Cloud, Series
from workbench.figures.style import unpacked
from workbench.lab import MOST_SETS

T = np.array([800.0, 600.0, 400.0, 0.0])
HOSTILE = "<b>conv</b>"


def decoded(value):
    return unpacked(value) if isinstance(value, dict) else np.array(value)


def two_sets():
    return [
        Series("1. a, 10", 0, T, np.array([4, 3, 2, 1])),
        Series("2. b, 6", 2, T, np.array([0, 0, 0, 6])),
    ]


def land():
    return (
        Series("density", 0, T, np.array([1, 3, 2, 1])),
        Series("diversity", 0, T, np.array([5.0, 5.0, 5.0, 5.0])),
    )


@pytest.fixture
def drawn():
    """Every kind of figure once."""
    names = ["conv_in", HOSTILE, "up.shortcut"]
    cloud = Cloud(HOSTILE, 1, np.array([[0.0, 1], [2, 3]]), np.array([800.0, 0]))
    return {
        "counts": figures.counts(two_sets(), *land(), 400.0),
        "lines": figures.counts(two_sets(), None, None, None, as_bars=False),
        "scatter": figures.scatter(np.zeros((5, 2)), [cloud], "PCA"),
        "empty": figures.empty("Press Draw."),
        "nothing said": figures.empty(""),
        "scales": effects.scales(names, [("1. a", 0, np.array([0.5, np.nan, -1]))], "up.shortcut"),
        "spread": effects.spread(names, np.array([0.01, 0.5, np.nan]), HOSTILE),
        "errors": effects.errors(two_sets(), Series("capture", 0, T, np.array([1, 1, 1, 1]))),
        "repeats": effects.repeats([3, 4], np.array([20.0, 21.0]), [(HOSTILE, 1, 19.0)]),
    }


def test_plotly_accepts_every_figure_and_each_says_what_it_shows(drawn):
    for name, figure in drawn.items():
        assert go.Figure(figure).to_dict()["layout"]["height"] > 100, name
        assert len(figure["layout"]["meta"]["label"]) >= 10, name


def test_names_with_markup_are_text(drawn):
    for name in ("scatter", "scales", "spread", "repeats"):
        shown = [(t.get("name"), t.get("text"), t["hovertemplate"]) for t in drawn[name]["data"]]
        ticks = [drawn[name]["layout"][a].get("ticktext") for a in ("xaxis", "yaxis")]
        assert HOSTILE not in str([shown, ticks]), name
        assert "&lt;b&gt;" in str([shown, ticks]), name


def test_bars_hold_the_counts_beside_their_timestep_and_do_not_overlap(drawn):
    first, second = (t for t in drawn["counts"]["data"] if t["type"] == "bar")
    assert decoded(first["y"]).tolist() == [4, 3, 2, 1]
    assert first["customdata"] == T.tolist()
    middles = (decoded(first["x"]) + decoded(second["x"])) / 2
    np.testing.assert_allclose(middles, T)
    # The axis runs from noise to picture, so the first set stands at the greater t.
    np.testing.assert_allclose(decoded(first["x"]) - decoded(second["x"]), first["width"])
    assert 2 * first["width"] < 200


def test_the_axis_runs_from_noise_to_picture(drawn):
    high, low = drawn["counts"]["layout"]["xaxis"]["range"]
    assert high > 800
    assert low < 0


def test_density_and_diversity_are_scaled_and_say_what_they_were(drawn):
    density, diversity = (t for t in drawn["counts"]["data"] if t.get("yaxis") == "y2")
    assert decoded(density["y"]) == pytest.approx([0, 1, 0.5, 0])
    assert density["customdata"] == [1, 3, 2, 1]
    assert decoded(diversity["y"]).tolist() == [0, 0, 0, 0]


def test_the_selected_timestep_is_marked_where_it_is(drawn):
    (line,) = drawn["counts"]["layout"]["shapes"]
    assert (line["x0"], line["x1"]) == (400, 400)
    assert drawn["lines"]["layout"]["shapes"] == []


def test_sets_of_other_steps_keep_their_own_width():
    fine = Series("fine", 1, np.arange(0, 1000, 20.0)[::-1], np.ones(50))
    coarse, narrow = figures.counts([two_sets()[0], fine], None, None, None)["data"]
    assert coarse["width"] == pytest.approx(10 * narrow["width"])
    assert figures.spacing(np.array([5.0])) == 1


def test_the_scatter_holds_every_point(drawn):
    background, cloud = drawn["scatter"]["data"]
    assert decoded(background["x"]).shape == (5,)
    assert decoded(cloud["x"]).tolist() == [0, 2]
    assert decoded(cloud["y"]).tolist() == [1, 3]
    assert cloud["text"] == ["t = 800", "t = 0"]


def test_later_sets_are_drawn_inside_earlier_ones():
    clouds = [Cloud(str(i), i, np.zeros((1, 2)), np.zeros(1)) for i in range(6)]
    sizes = [t["marker"]["size"] for t in figures.scatter(np.zeros((1, 2)), clouds, "PCA")["data"]]
    assert sorted(sizes[1:], reverse=True) == sizes[1:]
    assert sizes[-1] > 4


def test_scales_are_points_over_layers_and_can_be_clicked(drawn):
    (trace,) = drawn["scales"]["data"]
    assert trace["x"] == [0, 2]
    assert decoded(trace["y"]).tolist() == [0.5, -1]
    assert trace["customdata"] == ["conv_in", "up.shortcut"]
    assert drawn["scales"]["layout"]["shapes"][0]["x0"] == 2


def test_spread_is_in_percent(drawn):
    assert decoded(drawn["spread"]["data"][0]["y"]) == pytest.approx([1, 50])


def test_the_gain_is_what_a_set_has_over_the_capture(drawn):
    capture, first, second, gain, other = drawn["errors"]["data"]
    assert decoded(capture["y"]).tolist() == [1, 1, 1, 1]
    assert decoded(first["y"]).tolist() == [4, 3, 2, 1]
    assert decoded(gain["y"]).tolist() == [3, 2, 1, 0]
    assert decoded(other["y"]).tolist() == [-1, -1, -1, 5]
    assert {gain["yaxis"], other["yaxis"]} == {"y2"}
    assert second["line"]["color"] == other["line"]["color"]


def test_repeats_stand_above_the_sets(drawn):
    repeats, other = drawn["repeats"]["data"]
    assert decoded(repeats["x"]).tolist() == [20, 21]
    assert (repeats["y"], other["y"]) == ([0, 0], [1])
    assert repeats["text"] == ["seed 3", "seed 4"]


def test_colours_of_sets_are_told_apart_on_white_and_on_dark():
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for colour in (*figures.COLOURS, figures.NEUTRAL):
        for paper in ("#ffffff", "#0b0f19"):
            low, high = sorted([luminance(colour), luminance(paper)])
            assert (high + 0.05) / (low + 0.05) >= 2.9, (colour, paper)


def test_every_set_that_fits_has_its_own_look_and_the_first_eight_differ_in_all_of_it():
    looks = [figures.look(slot) for slot in range(MOST_SETS)]
    assert len({(colour, symbol) for colour, symbol, _ in looks}) == MOST_SETS
    assert len({(colour, dash) for colour, _, dash in looks}) == MOST_SETS
    assert [len(set(part)) for part in zip(*looks[:8], strict=True)] == [8, 8, 8]
