"""Figures are numbers: what is drawn, not how it looks."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.quant.phase import LossPoint
from analysis.quant.whatif import predict_sqnr_db
from workbench.figures import over_time, results, shortcuts
from workbench.figures.channels import channels
from workbench.figures.heatmap import block_of, block_ticks, heatmap, shortened
from workbench.figures.histogram import Levels, histogram, levels_of
from workbench.figures.learning import loss_table, losses
from workbench.figures.style import number, packed, plain, spread, unpacked


def decoded(value):
    return unpacked(value) if isinstance(value, dict) else np.array(value)


@pytest.fixture
def stats(toy):
    return toy.capture["conv_in"]


@pytest.fixture
def drawn(toy, stats):
    """Every kind of figure once."""
    at, t = stats.at(0), toy.capture.timesteps
    levels = levels_of(at, 4, False, "minmax")
    h, skip = (toy.capture[f"up.shortcut#{tap}"].at(0) for tap in ("h", "skip"))
    curves = {str(i): np.linspace(i, 20, len(t)) for i in range(3)}
    return {
        "heatmap": heatmap(np.ones((3, 4)), toy.names, t, "Standard deviation", "dB"),
        "histogram": histogram(at, levels, (-8, 8)),
        "linear histogram": histogram(at, levels, (-8, 8), log=False),
        "channels": channels(at, seam=2),
        "calibration": over_time.calibration_error(curves, t, 1),
        "halves": shortcuts.halves(h, skip),
        "reaches": shortcuts.reaches(h, skip),
        "scales": shortcuts.scales({4: 1.0}, {4: 9.0}, "whole input"),
        "layers": results.layer_sqnr(toy.names, ["conv", "linear", "conv"], np.array([1, 2, 3.0])),
        "divergence": results.divergence({"a": [0.1, 0.2], "b": [0.2, 0.3]}),
        "agreement": results.agreement({"a": 30.0}, {"a": 29.0}, {"a": 20.0}),
        "error parts": results.error_parts([0.1, 0.2], [0.1, 0.1], [0.0, 0.2]),
        "losses": losses([LossPoint("weights", "conv_in", i, 3, 1.0) for i in range(3)]),
        **{name: draw(stats, t, 1) for name, draw in over_time.PLOTS.items()},
    }


def test_plotly_accepts_every_figure(drawn):
    for name, figure in drawn.items():
        assert go.Figure(figure).to_dict()["layout"]["height"] > 100, name


def test_every_figure_says_what_it_shows(drawn):
    assert all(len(figure["layout"]["meta"]["label"]) > 10 for figure in drawn.values())


def test_packing_loses_nothing_but_digits():
    values = np.array([[1.5, -2.25, 0.1], [0, 1e6, np.nan]])
    np.testing.assert_allclose(unpacked(packed(values)), values, rtol=1e-6)


def test_heatmap_holds_the_values_and_the_names(toy):
    values = np.arange(12.0).reshape(3, 4)
    figure = heatmap(values, toy.names, toy.capture.timesteps, "x", "dB")
    assert decoded(figure["data"][0]["z"]).tolist() == values.tolist()
    assert figure["layout"]["meta"]["rows"] == list(toy.names)
    assert figure["layout"]["meta"]["columns"] == 4


def test_logarithmic_heatmap_leaves_gaps_where_there_is_no_logarithm(toy):
    values = np.array([[1, 10, 0, -1], [np.inf, np.nan, 100, 1000], [1, 1, 1, 1.0]])
    trace = heatmap(values, toy.names, toy.capture.timesteps, "x", "u", log=True)["data"][0]
    z = decoded(trace["z"])
    assert z[0, :2].tolist() == [0, 1]
    assert np.isnan(z[0, 2:]).all()
    assert np.isnan(z[1, :2]).all()
    assert np.isfinite([trace["zmin"], trace["zmax"]]).all()


def test_heatmap_of_nothing_finite_still_has_limits(toy):
    trace = heatmap(np.full((3, 4), np.inf), toy.names, toy.capture.timesteps, "x", "u")["data"][0]
    assert trace["zmin"] < trace["zmax"]


def test_levels_are_those_of_the_grid():
    levels = Levels(0.5, 3, 2)
    assert levels.values.tolist() == [-1.5, -1.0, -0.5, 0.0]
    assert levels.limits == (-1.5, 0.0)


def test_histogram_colours_change_exactly_at_the_limits(stats):
    levels = Levels(0.1, 8, 4)  # -0.8 .. 0.7, values reach from -4 to 4
    kept, clipped, *_ = histogram(stats.at(0), levels, (-4, 4))["data"]
    x = decoded(kept["x"])
    assert (x.min(), x.max()) == pytest.approx((-0.8, 0.7))
    assert decoded(clipped["x"]).min() < -3
    assert decoded(clipped["x"]).max() > 3


def test_without_clipping_nothing_is_drawn_as_clipped(stats):
    clipped = histogram(stats.at(0), Levels(1.0, 8, 4), (-8, 8))["data"][1]
    assert len(clipped["x"]) == 0


def test_histogram_height_is_the_count(stats):
    kept = histogram(stats.at(0), Levels(1.0, 8, 4), (-8, 8), log=False)["data"][0]
    assert decoded(kept["y"]).max() == stats.at(0).histogram.counts.max()


def test_histogram_draws_every_level(stats):
    levels = levels_of(stats.at(0), 3, False, "minmax")
    lines = decoded(histogram(stats.at(0), levels, (-8, 8))["data"][2]["x"])
    np.testing.assert_allclose(np.unique(lines[np.isfinite(lines)]), levels.values, rtol=1e-6)


def test_channel_ranges_part_at_the_seam(stats):
    h, skip = channels(stats.at(0), seam=1)["data"]
    assert decoded(h["y"])[:2] == pytest.approx([stats.channel_min[0, 0], stats.channel_max[0, 0]])
    assert decoded(skip["x"])[0] == 1


def test_ridge_heights_are_between_0_and_1(stats):
    heights = over_time.ridge_heights(stats.histogram.counts, log=True)
    assert heights.max(axis=1) == pytest.approx([1, 1, 1, 1])
    assert heights.min() == 0


def test_boxes_show_the_quartiles_of_the_channels(toy, stats):
    trace = over_time.boxes(stats, toy.capture.timesteps, 0)["data"][0]
    width = stats.channel_max - stats.channel_min
    assert decoded(trace["median"]) == pytest.approx(np.median(width, axis=1), rel=1e-5)


def test_halves_are_densities(toy):
    h = toy.capture["up.shortcut#h"].at(0)
    assert (shortcuts.shares(h) * h.histogram.width).sum() == pytest.approx(100)


def test_one_scale_against_two_shows_both(toy):
    joint, split = shortcuts.scales({2: 1.0, 4: 5.0}, {2: 2.0, 4: np.inf}, "x")["data"]
    assert (joint["x"], joint["y"]) == ([2, 4], [1.0, 5.0])
    assert split["y"] == [2.0, None]


def test_layers_that_stay_float_are_left_out(toy):
    kinds = [layer.kind for layer in toy.layers]
    values = np.array([np.inf, 5.0, 7.0])
    figure = results.layer_sqnr(toy.names, kinds, values, own=toy.names[:2])
    *predicted, ringed = figure["data"]
    assert {name for trace in predicted for name in trace["customdata"]} == set(toy.names[1:])
    assert (ringed["x"], decoded(ringed["y"]).tolist()) == ([1], [5.0])


def test_divergence_is_in_percent():
    first, second = results.divergence({"a": [0.0, 0.25], "<b>": [0.5]})["data"]
    assert (first["x"], first["y"], second["y"]) == ([1, 2], [0, 25], [50])
    assert second["name"] == "&lt;b&gt;"
    assert first["line"] != second["line"]


def test_both_parts_of_the_error_stand_beside_the_whole():
    whole, fresh, inherited = results.error_parts([0.5], [0.25], [0.3])["data"]
    assert [line["y"] for line in (whole, fresh, inherited)] == [[50], [25], [30]]
    assert len({line["line"]["dash"] for line in (whole, fresh, inherited)}) == 3


def test_layers_are_paired_where_both_numbers_are_known():
    predicted = {"a": 10.0, "b": np.inf, "c": 30.0}
    figure = results.agreement(predicted, {"a": 9.0, "b": 5.0}, {"a": 2.0, "c": np.inf, "d": 1.0})
    diagonal, into, out = figure["data"]
    assert (into["x"], into["y"], into["customdata"]) == ([10.0], [9.0], ["a"])
    assert (out["x"], out["y"]) == ([10.0], [2.0])
    assert diagonal["x"] == diagonal["y"] == [2.0, 10.0]


def test_losses_stand_one_block_behind_the_other():
    walks = (("weights", "a", 2.0), ("weights", "b", 4.0), ("scales", "a", 1.0))
    points = [LossPoint(w, unit, i, 2, top / (i + 1)) for w, unit, top in walks for i in (0, 1)]
    weights, scales = losses(points)["data"]
    x, y = decoded(weights["x"]), decoded(weights["y"])
    assert x[[0, 1, 3, 4]].tolist() == [0, 0.5, 1, 1.5]
    assert y[[0, 1, 3, 4]].tolist() == [2, 1, 4, 2]
    assert np.isnan(x[2])
    assert np.isnan(y[2])
    assert decoded(scales["x"]).tolist() == [2, 2.5]
    assert loss_table(points)["rows"] == [
        ["a", "weights", 2.0, 1.0],
        ["b", "weights", 4.0, 2.0],
        ["a", "scales", 1.0, 0.5],
    ]


def test_without_losses_nothing_is_drawn():
    assert losses([]) is None
    assert loss_table([]) is None


def test_calibration_curves_match_the_library(toy, stats):
    from workbench.selection import Selection
    from workbench.views.over_time import calibration_curves

    own, whole, one = calibration_curves(
        stats, Selection("conv_in", 3), toy.capture.timesteps
    ).values()
    assert whole.tolist() == predict_sqnr_db(stats, 4).tolist()
    assert one[3] == pytest.approx(own[3], abs=0.5)
    assert one[0] < own[0] - 3  # the narrow last step's grid clips the wide first step


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("down_blocks.1.resnets.0.conv1", "down_blocks.1"),
        ("mid_block.attentions.0#softmax", "mid_block"),
        ("conv_in", "conv_in"),
    ],
)
def test_block_of_a_layer(name, block):
    assert block_of(name) == block


def test_markup_in_names_is_shown_not_read():
    assert plain("<b>a</b> & b") == "&lt;b&gt;a&lt;/b&gt; &amp; b"
    assert block_ticks(["<img src=x>"])[1] == ["&lt;img src=x&gt;"]


def test_small_helpers():
    assert spread(50, 3) == [0, 24, 49]
    assert spread(2, 6) == [0, 1]
    assert shortened("a" * 40, 10) == "…" + "a" * 9
    assert [number(v) for v in (1.23456, np.inf, -np.inf, np.nan)] == ["1.23", "∞", "-∞", "n/a"]
