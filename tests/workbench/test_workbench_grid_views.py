"""What the tabs say about grids: their numbers, and sentences where there are none."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.quant.whatif import estimate_range, predict_sqnr_db
from analysis.shortcut_split import activation_gain, weight_gain
from analysis.shortcuts import shortcut_report
from workbench.figures import over_time as time_figures
from workbench.figures.histogram import histogram, levels_in
from workbench.figures.shortcuts import gains
from workbench.grids import clipped, with_grid
from workbench.page import Page, Settings
from workbench.selection import first_selection
from workbench.session import Session, SessionStore
from workbench.shell import bar_value, restored
from workbench.views import cell, shortcuts
from workbench.views.explore import Explore
from workbench.views.grid_controls import own_table, says
from workbench.views.late import Late
from workbench.views.over_time import calibration_curves, value_table
from workbench.whatif import Grid

LAYER = "conv_in"


@pytest.fixture
def start(toy):
    return replace(first_selection(toy), layer=LAYER, step=3)


def test_handles_stand_at_the_range_that_was_asked_for(toy, start):
    total = toy.capture[LAYER].total
    assert cell.ends(toy, start) == (total.min, total.max)
    size = max(-total.min, total.max)
    assert cell.ends(toy, replace(start, symmetric=True)) == (-size, size)
    here = toy.capture[LAYER].at(3)
    assert cell.ends(toy, replace(start, scope="step")) == (here.min, here.max)
    drawn = clipped(start, -1.5, 0.5)
    assert cell.ends(toy, drawn) == (-1.5, 0.5)
    figure = histogram(here, levels_in((-1.5, 0.5), 4, False), (-4, 4), ends=(-1.5, 0.5))
    assert figure["layout"]["meta"]["clip"] == [-1.5, 0.5]
    assert "clip" not in histogram(here, levels_in((-1, 1), 4, False), (-4, 4))["layout"]["meta"]


def test_the_limits_names_stand_outside_where_there_is_room(toy):
    here, wide = toy.capture[LAYER].at(3), (-4, 4)
    for ends, anchors in (((-1, 1), ["right", "left"]), ((-4, 4), ["left", "right"])):
        notes = histogram(here, levels_in(ends, 8, False), wide)["layout"]["annotations"]
        assert [note["xanchor"] for note in notes] == anchors


def tile(facts, name):
    return next(item for item in facts["items"] if item["name"] == name)


def test_the_card_parts_rounding_from_clipping(toy, start):
    drawn = clipped(replace(start, step=0), -0.5, 0.5)  # values reach from -4 to 4
    ends = cell.ends(toy, drawn)
    shown = cell.facts(toy, drawn, cell.levels(drawn, ends))
    clipping = float(tile(shown, "Clipping error")["value"])
    # Uniform on [-4, 4]: 7/8 lie beyond 0.5, and 3.5^2 / 3 is their mean squared distance.
    assert clipping == pytest.approx((7 / 8 * 3.5**2 / 3) ** 0.5, rel=0.03)
    rounding = float(tile(shown, "Rounding error")["value"])
    # 1/15 is a step; one value in eight is rounded, the others are clipped.
    assert rounding == pytest.approx((1 / 8 / 15**2 / 12) ** 0.5, rel=0.1)


def test_the_card_shows_every_statistic(toy, start):
    here = toy.capture[LAYER].at(3)
    shown = cell.facts(toy, start, cell.levels(start, cell.ends(toy, start)))
    low, high = (float(v) for v in tile(shown, "0.1th to 99.9th percentile")["value"].split(" to "))
    assert here.min <= low < high <= here.max
    assert float(tile(shown, "Tail weight")["value"]) == pytest.approx(1.8, abs=0.1)  # uniform
    assert float(tile(shown, "Beyond 3 deviations")["value"]) == 0


def test_the_card_says_how_far_the_histogram_speaks_for_all_values(toy, start):
    stats = toy.capture[LAYER].at(start.step)
    layer = replace(toy.capture[LAYER], count=toy.capture[LAYER].count * 10)
    for one, told in (
        (toy.capture[LAYER], f"The histogram holds all {stats.count:,} values."),
        (layer, f"The histogram holds {stats.count:,} of {10 * stats.count:,} values: shares"),
    ):
        told_here = cell._drawn(one.at(start.step), one, start)
        assert told_here.startswith(told)
    assert (
        f"within {100 * layer.share_bound(start.step):.2g} percentage points, in 99%" in told_here
    )


def test_every_channel_has_a_row(toy, start):
    stats = toy.capture["up.shortcut"]
    table = cell.channel_table(toy, replace(start, layer="up.shortcut"))
    assert [row[1] for row in table["rows"]] == ["h"] * 4
    assert [row[2] for row in table["rows"]] == stats.channel_min[3].tolist()
    assert [row[5] for row in table["rows"]] == stats.channel_max.max(axis=0).tolist()
    assert len(table["columns"]) == len(table["rows"][0])
    plain = cell.channel_table(toy, start)
    assert len(plain["columns"]) == len(plain["rows"][0]) == 5


def test_all_layers_are_summed_up(toy, start):
    better = with_grid(start, LAYER, Grid(8))
    values = toy.table("sqnr", better.base, better.own)
    shown = says(toy, better)
    assert tile(shown, "Middle cell")["value"] == f"{np.median(values):.1f}"
    plain = np.median(toy.table("sqnr", Grid(4)))
    assert tile(shown, "Middle cell")["note"] == f"plain min-max: {plain:.1f} dB"
    assert tile(shown, "Worst at t = 0")["note"] == toy.names[int(values[:, 3].argmin())]
    assert "1 layer has a grid of its own" in shown["text"]
    assert "an estimate" in says(toy, replace(start, granularity="per_channel"))["text"]


def test_layers_with_their_own_grid_are_listed(toy, start):
    assert own_table(toy, start) is None
    drawn = with_grid(clipped(start, -1, 2), "mid.linear", Grid(8, estimator="lp", keep=50))
    rows = own_table(toy, drawn)["rows"]
    assert rows[0][:6] == [LAYER, 4, "drawn by hand", "tensor", -1, 2]
    low, high = estimate_range(toy.capture["mid.linear"].total, 8, False, "lp")
    assert rows[1][4:6] == pytest.approx([low / 2, high / 2])
    expected = predict_sqnr_db(toy.capture[LAYER], 4, clip=(-1, 2))
    assert rows[0][6] == pytest.approx(np.median(expected))


def test_a_range_drawn_by_hand_has_a_curve_of_its_own(toy, start):
    stats, timesteps = toy.capture[LAYER], toy.capture.timesteps
    three = calibration_curves(stats, start, timesteps)
    four = calibration_curves(stats, clipped(start, -1, 2), timesteps)
    assert [*three] == [*four][:3]
    expected = predict_sqnr_db(stats, 4, clip=(-1, 2))
    assert four["the range drawn by hand"].tolist() == expected.tolist()
    drawn = time_figures.calibration_error(four, timesteps, 0)["data"]
    assert [trace["name"] for trace in drawn] == [*four]
    assert len({trace["line"]["dash"] for trace in drawn}) == 4


def test_arrow_keys_move_every_plot_over_time(toy):
    for draw in time_figures.PLOTS.values():
        layout = draw(toy.capture[LAYER], toy.capture.timesteps, 1)["layout"]
        assert layout["meta"]["moves"] in ("x", "keys")
        assert "Arrow keys" in layout["meta"]["label"]


def test_the_plots_over_time_have_their_numbers_in_a_table(toy):
    stats, timesteps = toy.capture[LAYER], toy.capture.timesteps
    rows = np.array(value_table(LAYER, stats, timesteps)["rows"])
    assert rows[:, 0].tolist() == timesteps.tolist()
    assert rows[:, [1, 7]].tolist() == np.column_stack([stats.min, stats.max]).tolist()
    assert (np.diff(rows[:, 1:8], axis=1) >= -1e-9).all()
    widths = stats.channel_max - stats.channel_min
    assert rows[:, 10] == pytest.approx(np.median(widths, axis=1))


def test_both_halves_are_drawn_under_one_scale_and_two(toy):
    gain = activation_gain(toy.capture, toy.capture.shortcuts[0], 0)
    data = gains(gain, "x")["data"]
    assert [trace["y"] for trace in data] == [
        list(curve.values()) for half in (gain.h, gain.skip) for curve in (half.two, half.one)
    ]
    assert len({(trace["line"]["color"], trace["line"]["dash"]) for trace in data}) == 4
    table = shortcuts.gain_table("x", gain, None)
    assert [row[0] for row in table["rows"]] == list(range(2, 9))
    assert table["rows"][2][1] == gain.h.one[4]
    weights = weight_gain(np.random.default_rng(0).normal(size=(4, 8)), 4)
    assert len(shortcuts.gain_table("x", gain, weights)["columns"]) == 13


def test_both_halves_have_their_numbers_in_a_table(toy):
    h, skip = (toy.capture[f"up.shortcut#{tap}"].at(0) for tap in ("h", "skip"))
    table = shortcuts.value_table(shortcut_report(toy.capture)[0], h, skip)
    reach = np.abs([skip.channel_min, skip.channel_max]).max(axis=0)
    assert [row[0] for row in table["rows"]] == ["h", "skip"]
    assert table["rows"][1][-3:] == pytest.approx([reach.min(), np.median(reach), reach.max()])
    assert table["rows"][0][1:10] == sorted(table["rows"][0][1:10])
    assert len(table["columns"]) == len(table["rows"][0])


def test_a_strangers_capture_does_not_choose_which_file_is_read(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.models.weight_file.read_weight", lambda *_: pytest.fail("read"))
    session = Session("a", toy, first_selection(toy), model_name="fashion")
    report = shortcut_report(toy.capture)[0]
    assert shortcuts.slices_of(session, report) is None
    assert "not at hand" in shortcuts.slices_say(toy, None)["text"]


def test_bundled_weights_are_at_hand(bundled):
    session = Session("a", bundled, first_selection(bundled))
    report = shortcut_report(bundled.capture)[4]
    gain = shortcuts.slices_of(session, report)
    assert gain.h.two[4] > gain.h.one[4]
    assert "At 4 bits" in shortcuts.slices_say(bundled, gain)["text"]


def test_what_speaks_against_two_humps_is_said(bundled):
    for report in shortcut_report(bundled.capture):
        text = shortcuts.verdict(report, "skip")["text"]
        assert ("Not bimodal" in text) == (not report.bimodal)
        if not report.bimodal:
            assert ("dip test" in text) == (report.dip_p >= 0.05)
            assert ("overlap" in text) == (report.ashman_d <= 2)


def test_what_may_wait_is_asked_for_only_when_it_has_changed(toy, start):
    session, late = Session("a", toy, start), Late("explore", ["table"], ["knob"])
    assert not late.wanted(session)
    session.selection = clipped(start, -1, 2)  # drawn on the plot: the knobs show the old grid
    assert late.wanted(session)
    late._note(session)
    assert not late.wanted(session)
    session.selection = replace(session.selection, layer="mid.linear")  # has the grid of all
    assert late.wanted(session)
    late.turned(lambda session, bits: None)(session, 4)
    assert not late.wanted(session)
    late._unfold(session)
    assert late.wanted(session)
    late._fold(session)
    assert not late.wanted(session)


@pytest.fixture
def page(toy, tmp_path):
    """A page without a browser: its parts are names."""
    view = Explore()
    for name in ("explanation", "map", "facts", "histogram", "channels", "numbers", "over_time"):
        setattr(view, name, name)
    for name in ("own", "each", "stat", "kind", "scope", "log", "find"):
        setattr(view, name, name)
    view.grid = SimpleNamespace(paint=lambda opened, selection: {})
    view.late = SimpleNamespace(wanted=lambda session: False)
    store = SessionStore(lambda key: Session(key, toy, first_selection(toy)))
    page = Page(Settings(runs=tmp_path), store, [view])
    page.bar, page.notice, page.tabs, page.bar_value = "bar", "notice", "tabs", bar_value
    return page


def test_another_captures_layer_is_said_and_passed_over(page, toy):
    session = page.store.get("a")
    query = {"capture": toy.key, "layer": "other.layer", "own": '[["other.layer"]]', "t": "500"}
    painted = restored(page, session, query, answer=7)
    assert painted["notice"]["text"] == (
        "The link's layer, own could not be used with this capture: passed over."
    )
    assert (session.selection.layer, session.selection.step) == (first_selection(toy).layer, 1)
    assert painted["bar"]["answer"] == 7


def test_a_link_sets_the_bits_of_single_layers_and_going_back_takes_them(page, toy):
    session = page.store.get("a")
    painted = restored(page, session, {"capture": toy.key, "layer_bits": '{"W8A8":["conv_in"]}'})
    assert session.overrides == {"conv_in": "W8A8"}
    assert "layer_bits=" in painted["bar"]["query"]
    painted = restored(page, session, {"capture": toy.key, "layer_bits": '{"W8A8":["nowhere"]}'})
    assert "The link's layer_bits could not be used" in painted["notice"]["text"]
    assert session.overrides == {}


def test_a_capture_that_is_open_needs_no_file(page, toy):
    session = page.store.get("a")
    assert restored(page, session, {"capture": toy.key})["notice"] is None
    assert session.opened is toy


def test_a_filter_that_leaves_nothing_is_passed_over(page, toy):
    session = page.store.get("a")
    said = restored(page, session, {"capture": toy.key, "find": "zzz"})["notice"]["text"]
    assert "has 'zzz' in its name" in said
    assert session.selection.find == ""
    assert json.dumps(said)
