"""What the Quantize tab asks the library for, and what it files afterwards."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.errors import Cancelled, UserError
from analysis.layer_errors import LayerError
from analysis.methods import METHODS
from analysis.methods.method import make_config
from analysis.quant.model import LayerRow
from analysis.quant.phase import LossPoint
from analysis.quant.plan import QuantPlan
from analysis.quant.whatif import predict_sqnr_db
from workbench.kept import folder_of, kept_blocks, settings_key
from workbench.page import Settings
from workbench.prediction import predicted
from workbench.recipe import PLAIN, overrides_of, plan_of
from workbench.selection import Selection, first_selection
from workbench.session import Session
from workbench.variants import Variant
from workbench.views import applying as view
from workbench.views import quantize_says as say
from workbench.views.layers import clear, keep_worst, layer_table, ranked, set_bits


@pytest.fixture
def session(toy):
    return Session("me", toy, first_selection(toy))


@pytest.fixture
def asked(monkeypatch, session):
    """Press Apply; what `analysis.quantize` is called with."""
    calls = []

    def quantize(model, **asked):
        calls.append(asked)
        asked["on_loss"](LossPoint("blocks", "a", 0, 2, 1.0))
        return SimpleNamespace(losses=())

    monkeypatch.setattr("analysis.quant.run.quantize", quantize)
    monkeypatch.setattr(view, "model_of", lambda session, models: "the model")
    monkeypatch.setattr(view, "file", lambda *_: None)

    def press(settings: Settings | None = None, **selection) -> dict:
        session.selection = replace(session.selection, **selection)
        page = SimpleNamespace(models=None, settings=settings or Settings())
        view.quantize_work(page, session)(lambda *_: None, lambda: False)
        return calls[-1]

    return press


OWN = set(QuantPlan.__dataclass_fields__) | {"act_estimator", "weight_estimator"}


@pytest.mark.parametrize("method", list(METHODS))
def test_a_method_is_left_its_own_defaults(asked, toy, method):
    called = asked(method=method)
    assert called["method"] == method
    assert not set(called) & (OWN - {"overrides"})
    assert called["overrides"] == {}


@pytest.mark.parametrize("method", list(METHODS))
def test_only_plain_rounding_calibrates_on_the_open_capture(asked, toy, method):
    assert asked(method=method)["calibration"] is (toy.capture if method == "rtn" else None)


def test_a_set_drawn_in_calibration_is_used_unless_the_visitor_says_otherwise(asked, session):
    session.calibration = "the set"
    assert asked(method="ptq4dm")["calibration"] == "the set"
    session.drawn["calibrate_on"] = "own"
    assert asked(method="ptq4dm")["calibration"] is None


def test_everything_that_was_set_is_asked_for(asked, session):
    session.overrides = {"mid.linear": "W8A8", "of another capture": "W2A2"}
    called = asked(
        method="eda-dm", preset="fast", without="tdac,qdrop", options="edge_bits=none;alpha=0.5"
    )
    assert called["without"] == ("tdac", "qdrop")
    assert (called["preset"], called["edge_bits"], called["alpha"]) == ("fast", None, 0.5)
    assert called["overrides"] == {"mid.linear": "W8A8"}


def test_wrong_options_are_a_sentence_before_any_work(asked, session):
    with pytest.raises(UserError, match="iterations must be a whole number"):
        asked(method="eda-dm", options="iterations=-1")
    session.drawn["wrong"] = {"batch": ("x", "batch must be a whole number.")}
    with pytest.raises(UserError, match="batch must be"):
        asked(method="eda-dm", options="")


def test_the_demo_caps_the_calibration(asked):
    demo = Settings.for_demo("fashion", Settings.runs)
    with pytest.raises(UserError, match="calibration_size must be a whole number from 1 to 64"):
        asked(demo, method="ptq4dm", preset="paper")
    assert asked(demo, method="ptq4dm", preset="instant")


def test_a_layer_name_with_wildcards_means_that_layer_only(asked, session):
    session.opened = SimpleNamespace(**{"names": ("a[0]*",), "capture": None})
    session.overrides = {"a[0]*": "W8A8"}
    (glob,) = asked(method="ptq4dm")["overrides"]
    assert glob == "a[[]0][*]"


def test_plain_rounding_needs_no_torch_for_the_plan_that_it_makes():
    selection = Selection("x", 0)
    assert (selection.method, selection.preset, selection.without, selection.options) == PLAIN
    config = make_config(METHODS.get(PLAIN[0]), PLAIN[1], {})
    assert plan_of(selection) == QuantPlan.parse("W4A8", **config.plan_options())


@pytest.mark.parametrize("method", list(METHODS))
def test_the_prediction_is_of_the_plan_that_the_method_makes(method):
    selection = Selection("x", 0, method=method, preset="fast", options="softmax_bits=4")
    config = make_config(METHODS.get(method), "fast", {"softmax_bits": 4})
    assert plan_of(selection) == QuantPlan.parse("W4A8", **config.plan_options())


def test_finished_blocks_are_found_again_by_the_same_settings_alone(session):
    key = settings_key(session)
    (folder_of(session, key) / "blocks.a.safetensors").write_bytes(b"x")
    assert kept_blocks(session, settings_key(session)) == 1
    session.overrides["mid.linear"] = "W8A8"
    assert kept_blocks(session, settings_key(session)) == 0
    session.overrides.clear()
    session.selection = replace(session.selection, options="alpha=1.0")
    folder_of(session, settings_key(session))
    session.selection = replace(session.selection, options="")
    assert kept_blocks(session, key) == 1


def test_few_settings_keep_their_blocks(session):
    for i in range(4):
        (folder_of(session, f"key{i}") / "blocks.a.safetensors").write_bytes(b"x")
    assert [kept_blocks(session, f"key{i}") for i in range(4)].count(1) == 2
    assert kept_blocks(session, "key3") == 1


def test_cancel_keeps_the_blocks_and_success_gives_the_room_back(monkeypatch, asked, session):
    def cancelled(model, keep, **_):
        (keep / "blocks.a.safetensors").write_bytes(b"x")
        raise Cancelled("Cancelled.")

    with monkeypatch.context() as patched:
        patched.setattr("analysis.quant.run.quantize", cancelled)
        with pytest.raises(Cancelled):
            asked(method="eda-dm")
    assert kept_blocks(session, settings_key(session)) == 1
    called = asked(method="eda-dm")
    assert called["keep"].name == settings_key(session)
    assert kept_blocks(session, settings_key(session)) == 0


def test_a_cancel_while_measuring_loses_no_model(ddpm, ddpm_capture):
    from analysis.quant.run import quantize
    from workbench.captures import OpenCapture

    opened = OpenCapture("own", ddpm_capture)
    visitor = Session("me", opened, first_selection(opened))
    visitor.overrides = {opened.names[1]: "W8A8"}
    made = quantize(ddpm, "rtn", "W4A8", ddpm_capture, overrides=overrides_of(visitor))
    with pytest.raises(Cancelled):
        view.file(visitor, visitor.selection, ddpm, made, lambda *_: None, lambda: True)
    (variant,) = visitor.variants
    assert variant.quantized is visitor.quantized is made
    assert variant.errors == {}
    assert variant.label == "1: W4A8 Round to nearest, 1 layer with own bits"
    view.file(visitor, visitor.selection, ddpm, made, lambda *_: None, lambda: False)
    second = visitor.variants[-1]
    assert set(second.predicted) == set(opened.names)
    assert set(second.errors) == {layer.name for layer in opened.layers if "#" not in layer.name}


def made(**told) -> SimpleNamespace:
    """As much of a quantized model as the page speaks of."""
    plan = QuantPlan.parse("W4A8")
    told = {"notes": (), "skipped": {}, **told}
    return SimpleNamespace(plan=plan, method="eda-dm", size_bytes=1, float_size_bytes=8, **told)


def test_notes_of_the_method_and_reasons_of_layers_stand_below_the_result(session):
    note = "The split does not apply: this model concatenates no shortcut."
    session.quantized = made(notes=(note,), skipped={"conv_in": "it took no part"})
    session.variants = [Variant(1, "W4A8", "toy", None, session.quantized)]
    shown = say.result(session)
    assert shown["notes"] == [note, "conv_in: it took no part."]
    assert "1 layer stayed (partly) float. Its layers were not measured" in shown["text"]


def test_many_reasons_are_cut_and_their_number_is_said():
    told = say.remarks(made(notes=("n",), skipped={f"layer{i}": "why" for i in range(7)}))
    assert told[1:] == [
        "layer0: why.",
        "layer1: why.",
        "layer2: why.",
        "4 more layers stayed (partly) float.",
    ]
    assert say.remarks(made()) == []


def test_layers_are_predicted_as_the_library_predicts_each(session):
    opened = session.opened
    plan = QuantPlan.parse("W4A4", act_estimator="lp", edge_bits=None)
    totals = [opened.capture[name].total for name in opened.names]
    expected = [float(predict_sqnr_db(total, 4, False, "lp")) for total in totals]
    assert predicted(opened, plan) == pytest.approx(expected)
    assert predicted(opened, QuantPlan.parse("W4A32")).tolist() == [np.inf] * 3


def test_a_split_layer_is_predicted_from_its_halves(session):
    opened = session.opened
    halves = [opened.capture[f"up.shortcut#{tap}"].total for tap in ("h", "skip")]
    power = np.array([h.count * (h.mean**2 + h.std**2) for h in halves])
    each = 10 ** (np.array([predict_sqnr_db(h, 3) for h in halves]) / 10)
    plan = QuantPlan.parse("W4A3", edge_bits=None, split=True)
    expected = 10 * np.log10(power.sum() / (power / each).sum())
    assert predicted(opened, plan)[2] == pytest.approx(expected)
    whole = predicted(opened, replace(plan, split=False))
    assert predicted(opened, plan)[:2].tolist() == whole[:2].tolist()


def test_bits_of_one_layer(session, toy):
    set_bits(session, "8", ["mid.linear", 2])
    assert session.overrides == {"mid.linear": "W8A8"}
    set_bits(session, "32", ["mid.linear", 3])
    assert session.overrides == {"mid.linear": "W8A32"}
    row = layer_table(session, [1.0, 2.0, 3.0])["rows"][1]
    assert row[2:4] == [{"value": 8, "plan": 4}, {"value": 32, "plan": 8}]
    set_bits(session, "", ["mid.linear", 2])
    assert session.overrides == {}
    for bad in (("9", ["mid.linear", 2]), ("8", ["no.such", 2]), ("<b>", ["mid.linear", 3])):
        with pytest.raises(UserError):
            set_bits(session, *bad)


def test_the_worst_predicted_layers_are_kept_fine(session):
    session.selection = replace(session.selection, act_bits=4)
    order = [name for name, _ in ranked(session)]
    keep_worst(session, 1)
    edges = {"conv_in", "up.shortcut"}  # these have 8 bits already
    assert session.overrides == {next(n for n in order if n not in edges): "W8A8"}
    clear(session)
    assert session.overrides == {}
    for bad in (0, 4, 1.5, None):
        with pytest.raises(UserError, match="k must be a whole number"):
            keep_worst(session, bad)


def test_measured_layers_count_before_predicted_ones(session):
    session.selection = replace(session.selection, options="edge_bits=none")
    rows = tuple(LayerRow(name, 4, 8, 30.0) for name in session.opened.names)
    errors = {"conv_in": LayerError(50.0, 5.0), "mid.linear": LayerError(9.0, 20.0)}
    session.quantized = SimpleNamespace(layers=rows)
    session.variants = [Variant(1, "x", "fashion", None, session.quantized, errors=errors)]
    assert ranked(session) == [("conv_in", 5.0), ("mid.linear", 20.0), ("up.shortcut", 30.0)]
    keep_worst(session, 2)
    assert session.overrides == {"conv_in": "W8A8", "mid.linear": "W8A8"}


def test_where_all_have_eight_bits_there_is_nothing_to_keep(session):
    session.selection = replace(session.selection, weight_bits=8, act_bits=8)
    with pytest.raises(UserError, match="No layer has fewer than 8 bits"):
        keep_worst(session, 1)
