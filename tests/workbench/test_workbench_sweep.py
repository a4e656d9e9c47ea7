"""Sweep: figures' numbers, tables, what a click and the button do; nothing is run here."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.errors import UserError
from analysis.methods import METHODS
from analysis.quant.plan import QuantPlan
from analysis.sensitivity import LayerSensitivity, Sensitivity
from analysis.sweep_rows import Cell, RowFolder, SweepRow
from workbench.figures.pareto import COSTS, GAINS, front_of, pareto
from workbench.figures.sensitivity import sensitivity
from workbench.figures.style import unpacked
from workbench.page import Settings
from workbench.selection import READERS, SWEEP_COSTS, SWEEP_GAINS, SWEEP_PLANS, first_selection
from workbench.session import Session
from workbench.swept import MOST_ROWS, Swept
from workbench.views import sweep_says as says
from workbench.views.sweep import layer_plot
from workbench.views.sweep_choices import TITLES, all_plans, methods, sets
from workbench.views.sweep_work import keep_apart, known_rows, layer_work, load_row, sweep_work


def row(method: str, plan: str, size: float | None, psnr: float | None, **more) -> SweepRow:
    bits = QuantPlan.parse(plan).base
    made = SweepRow(method, plan, "own", psnr_db=psnr, size_mb=size, seconds=1.0)
    return replace(
        made,
        **{"weight_bits": bits.weight.bits, "act_bits": bits.act.bits, "preset": "instant", **more},
    )


ROWS = [
    row("rtn", "W8A8", 4.0, 30.0, frechet=9.0, frechet_float=6.0),
    row("rtn", "W4A8", 2.0, 25.0, frechet=8.0),
    row("eda-dm", "W4A8", 2.0, 27.0, frechet=8.5),
    row("eda-dm", "W4A4", 2.0, None, error="It broke."),
    row("ptq4dm", "W8A8", 4.0, math.inf),
]


def measured(names: Sequence[str] = ("conv_in", "mid.linear", "up.shortcut")) -> Swept:
    """Rows, and three layers of which all but the last were measured."""
    first, middle, last = names
    rows = (
        LayerSensitivity(first, "conv", 8, 8, 10.0, 12.0, (20.0, 8.0)),
        LayerSensitivity(middle, "linear", 4, 8, 30.0, 33.0, (40.0, math.inf), 44.0),
        LayerSensitivity(last, "conv", 4, 8, 50.0),
    )
    layers = Sensitivity(
        "toy", "0" * 64, QuantPlan.parse("W4A8"), rows, np.array([75.0, 0.0]), 4, 9.0, "budget"
    )
    return Swept(layers=layers, rows=list(ROWS))


@pytest.fixture
def session(toy):
    return Session("me", toy, first_selection(toy), swept=measured())


@pytest.fixture
def page(tmp_path):
    return SimpleNamespace(settings=Settings(runs=tmp_path), models={})


def trace(figure, name: str) -> dict:
    return next(t for t in figure["data"] if t["name"] == name)


def test_layers_stand_in_execution_order_with_rings_and_estimates(session):
    session.swept.raised = session.overrides = {"mid.linear": "W8A8"}
    figure = layer_plot(session)
    assert trace(figure, "conv")["customdata"] == ["conv_in"]
    assert trace(figure, "conv")["x"] == [0]
    assert unpacked(trace(figure, "conv")["y"]).tolist() == [12.0]
    assert unpacked(trace(figure, "linear")["y"]).tolist() == [33.0]
    assert trace(figure, "not measured: estimate")["x"] == [2]
    assert unpacked(trace(figure, "not measured: estimate")["y"]).tolist() == [50.0]
    assert trace(figure, "kept at 8 bits by the button")["x"] == [1]
    (line,) = figure["layout"]["shapes"]
    assert line["x0"] == session.opened.names.index(session.selection.layer)


def test_infinite_values_are_not_drawn():
    one = np.array([math.inf])
    assert sensitivity(["a"], ["conv"], one, np.array([math.nan]))["data"] == []


def test_layer_names_are_no_markup():
    figure = sensitivity(["<b>a"], ["conv"], np.array([1.0]), np.array([1.0]))
    assert figure["data"][0]["text"] == ["&lt;b&gt;a"]
    assert figure["data"][0]["customdata"] == ["<b>a"]


def test_points_of_the_pareto_plot_are_the_rows():
    figure = pareto(ROWS, "size", "psnr")
    assert trace(figure, "rtn")["x"] == [4.0, 2.0]
    assert trace(figure, "rtn")["y"] == [30.0, 25.0]
    assert trace(figure, "rtn")["customdata"] == ["0", "1"]
    assert trace(figure, "eda-dm")["customdata"] == ["2"]
    assert "ptq4dm" not in [t["name"] for t in figure["data"]]
    front = trace(figure, "Pareto front")
    assert (front["x"], front["y"]) == ([2.0], [27.0])  # the infinite one cannot be drawn


def test_less_frechet_is_better_and_the_float_model_is_a_line():
    assert front_of(ROWS, "size", "frechet") == [False, True, False, False, False]
    figure = pareto(ROWS, "bits", "frechet")
    assert figure["layout"]["shapes"][0]["y0"] == 6.0
    assert trace(figure, "eda-dm")["x"] == [32.0]
    assert pareto(ROWS, "bits", "psnr")["layout"]["shapes"] == []


def test_a_plan_with_layers_apart_says_so():
    (made,) = pareto([row("rtn", "W4A8", 1.0, 2.0, overrides={"a": "W8A8"})], "size", "psnr")[
        "data"
    ][1:]
    assert made["text"] == ["W4A8 +1"]


def test_labels_that_would_cover_each_other_are_left_to_hovering():
    rows = [row("rtn", "W8A8", 4.0, 40.0), row("rtn", "W4A8", 2.0, 20.0)]
    rows += [row("rtn", "W4A6", 2.01, 20.3), row("rtn", "W4A4", 2.0, 10.0)]
    figure = pareto(rows, "size", "psnr")
    # W4A6 and W4A8 lie together and both are on the front: the first of them has the label.
    assert trace(figure, "rtn")["text"] == ["W8A8", "W4A8", "", "W4A4"]
    assert "W4A6" in trace(figure, "rtn")["hovertext"][2]
    rows = [row("rtn", "W8A8", 4.0, 40.0), row("rtn", "W6A6", 2.0, 23.6)]
    rows += [row("rtn", "W4A4", 1.0, 10.0), row("ptq4dm", "W6A6", 2.0, 20.0)]
    # rtn's label hangs below its point, and ptq4dm's would stand on its own just there.
    assert trace(pareto(rows, "size", "psnr"), "ptq4dm")["text"] == [""]
    rows[3] = row("ptq4dm", "W6A6", 2.0, 30.0)
    assert trace(pareto(rows, "size", "psnr"), "ptq4dm")["text"] == ["W6A6"]


def test_tables_say_what_the_figures_say(session):
    layers = says.layer_table(session)
    assert [r[0] for r in layers["rows"]] == ["conv_in", "mid.linear", "up.shortcut"]
    assert layers["rows"][1][2:] == ["W4A8", 33.0, 40.0, None, 44.0, 30.0]
    assert layers["rows"][2][3:] == [None, None, None, None, 50.0]
    table = says.row_table(session)
    assert table["keys"] == ["0", "1", "2", "3", "4"]
    assert [r[9] for r in table["rows"]] == ["", "", "on it", "", "on it"]
    assert table["rows"][3][10] == "It broke."


def test_words_say_how_far_it_came(session):
    text = says.layer_says(session)["text"]
    assert "2 of 3 layers measured in 9 s" in text
    assert "The time was up before the rest." in text
    session.selection = replace(session.selection, act_bits=4)
    assert "The plan is now W4A4: measure again." in says.layer_says(session)["text"]
    session.swept.not_reached = (Cell("rtn", "W2A2", "own"),)
    assert "Not reached: rtn W2A2; Sweep goes on with them." in says.row_says(session)["text"]


def test_the_price_of_more_bits_is_that_of_the_weights(session):
    # mid.linear is 8 x 8: 64 weights with four bits more.
    cost = says.extra_megabytes(session.opened, session.swept.layers, {"mid.linear": "W8A8"})
    assert cost == pytest.approx(64 * 4 / 8 / 1e6)


def test_results_of_another_model_are_none(session):
    session.swept.layers = replace(session.swept.layers, model_digest="1" * 64)
    assert says.layers_of(session) is None


def test_the_button_replaces_what_it_kept_and_leaves_others(session):
    session.overrides = {"up.shortcut": "W6A6"}
    keep_apart(session)
    assert session.overrides == {"up.shortcut": "W6A6", "mid.linear": "W8A8"}
    session.swept.layers = replace(session.swept.layers, rows=session.swept.layers.rows[:1])
    keep_apart(session)
    assert session.overrides == {"up.shortcut": "W6A6"}


def test_a_click_sets_quantize_to_the_row(session):
    session.swept.rows = [
        row("eda-dm", "W4A32", 1.0, 2.0, calibration="ndtc", preset="fast"),
        row("rtn", "W6A6", 1.0, 2.0, calibration="ndtc", overrides={"mid.linear": "W8A8"}),
    ]
    session.overrides = {"conv_in": "W8A8"}
    assert load_row(session, "0") == "eda-dm W4A32 is set; press Apply to make it."
    chosen = session.selection
    assert (chosen.tab, chosen.plan, chosen.method) == ("quantize", "W4A32", "eda-dm")
    assert (chosen.preset, chosen.options, session.overrides) == ("fast", "sampler=ndtc", {})
    assert "Apply takes the open capture" in load_row(session, "1")
    assert session.selection.options == ""
    assert session.overrides == {"mid.linear": "W8A8"}


@pytest.mark.parametrize("key", ["9", "-1", "x", None, 1.5, {}])
def test_a_row_that_is_not_there_is_one_sentence(session, key):
    with pytest.raises(UserError, match="This row is gone; press Sweep again"):
        load_row(session, key)


def test_downloads_are_what_the_tables_show(session):
    table, text = (file["text"] for file in says.files(session)["files"])
    assert [line["psnr_db"] for line in csv.DictReader(io.StringIO(table))][:3] == [
        "30.0",
        "25.0",
        "27.0",
    ]
    assert json.loads(text)["rows"][3]["error"] == "It broke."
    table, text = (file["text"] for file in says.layer_files(session)["files"])
    lines = list(csv.DictReader(io.StringIO(table)))
    assert [line["sqnr_db_at_75"] for line in lines] == ["20.0", "40.0", ""]
    assert json.loads(text)["layers"][1]["by_step_db"] == [40.0, None]


def test_rows_that_cannot_be_compared_leave_the_table():
    swept = Swept()
    for made in (ROWS[0], ROWS[1], replace(ROWS[0], psnr_db=31.0)):
        swept.add(made)
    assert [r.psnr_db for r in swept.rows] == [31.0, 25.0]
    swept.add(replace(ROWS[0], overrides={"a": "W8A8"}))
    assert len(swept.rows) == 3
    swept.add(replace(ROWS[0], steps=9))
    assert [r.steps for r in swept.rows] == [9]
    for i in range(MOST_ROWS + 5):
        swept.add(replace(ROWS[0], plan=f"W{i}", steps=9))
    assert len(swept.rows) == MOST_ROWS


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (((), ["W8A8"], ["own"], 4, 2, 60, False), "Choose at least one method to sweep over."),
        ((["rtn"], [], ["own"], 4, 2, 60, False), "Choose at least one plan to sweep over."),
        ((["rtn"], ["W8A8"], [], 4, 2, 60, False), "Choose at least one calibration"),
        ((["rtn"], ["W8A8"], ["own"], 0, 2, 60, False), "pictures must be a whole number from 1"),
        ((["rtn"], ["W8A8"], ["own"], 4, 2.5, 60, False), "steps must be a whole number"),
        ((["rtn"], ["W8A8"], ["own"], 4, 2, None, False), "time budget must be a whole number"),
    ],
)
def test_bad_values_are_one_sentence(page, session, given, sentence):
    with pytest.raises(UserError, match=sentence):
        sweep_work(page, session, *given)


def test_bad_budgets_of_layers_are_one_sentence(page, session):
    with pytest.raises(UserError, match="time budget must be a whole number from 1 to 3600"):
        layer_work(page, session, 0, 3)
    with pytest.raises(UserError, match="finalists must be a whole number from 0 to 12"):
        layer_work(page, session, 60, 99)


def test_a_page_for_strangers_keeps_nothing_and_ends_sooner(page, session, tmp_path):
    assert isinstance(known_rows(page, session), RowFolder)
    page.settings = Settings.for_demo("fashion", tmp_path)
    assert known_rows(page, session) is session.swept.known
    with pytest.raises(UserError, match="time budget must be a whole number from 1 to 120"):
        layer_work(page, session, 121, 3)


def test_what_was_measured_stays_after_cancel(page, session, monkeypatch):
    from analysis.errors import Cancelled

    stopped = replace(session.swept.layers, ended="cancelled")
    monkeypatch.setattr("analysis.sensitivity.sensitivity", lambda *a, **k: stopped)
    monkeypatch.setattr("workbench.views.sweep_work.model_of", lambda *a: "the model")
    session.swept.layers = None
    with pytest.raises(Cancelled):
        layer_work(page, session, 5, 0)(lambda *_: None, lambda: False)
    assert session.swept.layers is stopped


def test_the_form_knows_every_registered_method_and_measure():
    assert set(TITLES) == set(METHODS)
    assert all(METHODS.get(name).title == title for name, title in TITLES.items())
    assert methods() == TITLES
    assert sets()[0][1] == "own"
    assert (tuple(COSTS), tuple(GAINS)) == (SWEEP_COSTS, SWEEP_GAINS)
    assert all_plans(["W8A8"], " w5a6, W8A8;W3A8 ") == ["W8A8", "W5A6", "W3A8"]


def test_lists_are_in_the_address_and_nonsense_is_refused():
    plans = ".".join(SWEEP_PLANS)
    assert READERS["sweep_plans"](plans) == plans
    assert READERS["sweep_methods"]("") == ""
    for name, text in (("sweep_plans", "W8A8;drop"), ("sweep_methods", "<b>"), ("apart", "0")):
        with pytest.raises(ValueError, match=text):
            READERS[name](text)
