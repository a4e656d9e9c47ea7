"""Reading plans, and which layer gets what."""

from __future__ import annotations

import json

import pytest

from analysis.errors import UserError
from analysis.quant.plan import LayerPlan, QuantPlan, Rule
from analysis.quant.scheme import QuantScheme


def bits(plan: LayerPlan) -> tuple[int | None, int | None]:
    return plan.weight and plan.weight.bits, plan.act and plan.act.bits


def middle(handle) -> str:
    return "mid_block.resnets.0.conv1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("W4A8", (4, 8)), ("w4a8", (4, 8)), (" W32A8 ", (None, 8)), ("W2A32", (2, None))],
)
def test_text_is_read(handle, text, expected):
    plan = QuantPlan.parse(text)
    resolved = plan.resolve(handle)
    assert bits(resolved[middle(handle)]) == expected
    assert plan.text == text.strip().upper()
    assert list(resolved) == [layer.name for layer in handle.layers]


@pytest.mark.parametrize("text", ["", "W4", "A8W4", "W4A8B2", "4/8", "W-4A8", "W4.0A8", None, 48])
def test_text_that_is_no_plan_is_named(text):
    with pytest.raises(UserError, match=r"Cannot read the plan .*write .* like W4A8"):
        QuantPlan.parse(text)


@pytest.mark.parametrize("text", ["W1A8", "W8A9", "W16A8", "W8A16", "W0A0", "W33A8"])
def test_bits_that_do_not_exist_are_named(text):
    with pytest.raises(UserError, match="bits must be 2 to 8, or 32 for float; got"):
        QuantPlan.parse(text)


def test_weights_are_per_channel_and_options_reach_the_schemes(handle):
    plan = QuantPlan.parse("W4A6", "lp", "percentile:99.9", weight_symmetric=True)
    chosen = plan.resolve(handle)[middle(handle)]
    assert chosen.weight == QuantScheme(4, True, "per_channel", "lp")
    assert chosen.act == QuantScheme(6, False, "per_tensor", "percentile:99.9")


def test_first_and_last_layer_have_eight_bits(handle):
    resolved = QuantPlan.parse("W4A4").resolve(handle)
    for edge in (handle.first_layer, handle.last_layer):
        assert bits(resolved[edge]) == (8, 8)
    others = {bits(p) for n, p in resolved.items() if "conv_in" not in n and "conv_out" not in n}
    assert others == {(4, 4), (None, 4), (None, 8)}  # layers, operands, softmax


@pytest.mark.parametrize(
    ("text", "edge_bits", "expected"),
    [
        ("W4A4", None, (4, 4)),
        ("W4A4", 6, (6, 6)),
        ("W4A4", 32, (None, None)),
        ("W4A32", 8, (8, None)),  # float everywhere stays float at the edges
        ("W32A4", 8, (None, 8)),
        ("W32A32", 8, (None, None)),
    ],
)
def test_edge_bits(handle, text, edge_bits, expected):
    resolved = QuantPlan.parse(text, edge_bits=edge_bits, input_bits=5).resolve(handle)
    assert bits(resolved[handle.last_layer]) == expected
    weight, act = expected
    own = edge_bits is not None and act is not None
    assert bits(resolved[handle.first_layer]) == (weight, 5 if own else act)


def test_an_override_beats_the_edge_rule(handle):
    plan = QuantPlan.parse("W4A4", overrides={handle.first_layer: "W2A3"})
    resolved = plan.resolve(handle)
    assert bits(resolved[handle.first_layer]) == (2, 3)
    assert bits(resolved[handle.last_layer]) == (8, 8)


def test_later_overrides_win(handle):
    overrides = {"mid_block*": "W8A8", "mid_block.resnets.0*": "W2A32"}
    resolved = QuantPlan.parse("W4A4", overrides=overrides).resolve(handle)
    assert bits(resolved["mid_block.resnets.0.conv1"]) == (2, None)
    assert bits(resolved["mid_block.resnets.1.conv1"]) == (8, 8)
    assert bits(resolved["mid_block.attentions.0#q"]) == (None, 8)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("W4A4", {}, 16),
        ("W4A32", {}, None),
        ("W4A4", {"mid_block*": "W4A2"}, 16),  # set apart under an override as well
        ("W4A4", {"mid_block*": "W4A32"}, None),
        ("W4A32", {"mid_block*": "W4A4"}, 16),
        ("W4A4", {"*#softmax": "W4A5"}, 5),  # unless it is meant
    ],
)
def test_softmax_bits_are_set_apart(handle, text, overrides, expected):
    plan = QuantPlan.parse(text, softmax_bits=16, act_symmetric=True, overrides=overrides)
    scheme = plan.resolve(handle)["mid_block.attentions.0#softmax"].act
    assert (scheme and scheme.bits) == expected
    assert scheme is None or not scheme.symmetric


def test_softmax_may_stay_float(handle):
    resolved = QuantPlan.parse("W8A8", softmax_bits=32).resolve(handle)
    assert resolved["mid_block.attentions.0#softmax"] == LayerPlan(None, None)


def test_a_glob_that_matches_nothing_is_named(handle):
    plan = QuantPlan.parse("W4A4", overrides={"mid_block*": "W8A8", "middle*": "W8A8"})
    with pytest.raises(UserError, match=r"'middle\*' matches none of the"):
        plan.resolve(handle)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"softmax_bits": 12}, "softmax_bits must be 2 to 8, 16, or 32 for float; got 12"),
        ({"edge_bits": 1}, "bits must be 2 to 8, or 32 for float; got 1"),
        ({"edge_bits": 16}, "bits must be 2 to 8, or 32 for float; got 16"),
        ({"weight_estimator": "x"}, "no range estimator named 'x'"),
        ({"overrides": {"*": "W1A1"}}, "bits must be"),
    ],
)
def test_options_that_do_not_exist_are_named(options, message):
    with pytest.raises(UserError, match=message):
        QuantPlan.parse("W4A4", **options)


def test_json_gives_the_plan_back():
    plan = QuantPlan.parse("W4A8", "lp", softmax_bits=16, edge_bits=None, overrides={"a*": "W2A32"})
    assert QuantPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("split_norm", [True, False])
def test_json_keeps_the_splits_and_reads_what_knew_none(split, split_norm):
    plan = QuantPlan.parse("W4A8", split=split, split_norm=split_norm)
    values = json.loads(json.dumps(plan.to_dict()))
    assert QuantPlan.from_dict(values) == plan
    assert (plan.split, plan.split_norm) == (split, split_norm)
    del values["split"], values["split_norm"]
    assert QuantPlan.from_dict(values) == QuantPlan.parse("W4A8")


@pytest.mark.parametrize("values", [{}, {"base": 3}, {"base": {"glob": "*"}, "overrides": []}])
def test_json_that_is_no_plan_is_named(values):
    with pytest.raises(UserError, match="no quantization plan"):
        QuantPlan.from_dict(values)


def test_the_text_for_people():
    plan = QuantPlan.parse("W4A8", overrides={"mid_block*": "w8a8"}, input_bits=16)
    edges = "first and last layer 8 bits, x_t 16 bits"
    assert str(plan) == f"W4A8, softmax 8 bits, {edges}, mid_block* W8A8"
    assert str(QuantPlan.parse("W4A8")).endswith("first and last layer 8 bits")
    assert str(QuantPlan.parse("W4A32", edge_bits=None)) == "W4A32"
    cut = QuantPlan.parse("W4A32", edge_bits=None, split=True)
    assert str(cut) == "W4A32, split shortcuts"
    both = QuantPlan.parse("W4A32", edge_bits=None, split=True, split_norm=True)
    assert str(both) == "W4A32, split shortcuts, split normalized shortcuts"


def test_a_plan_of_an_older_version_has_its_input_at_the_edges_bits():
    values = QuantPlan.parse("W4A8", edge_bits=6).to_dict()
    del values["input_bits"]
    assert QuantPlan.from_dict(values).input_bits == 6


def test_sixteen_bits_exist_in_a_scheme_only():
    assert QuantScheme(16).bits == 16
    assert Rule("*", QuantScheme(32), QuantScheme(32)).text == "W32A32"
    with pytest.raises(UserError, match="bits must be 2 to 8, or 32 for float; got 15"):
        QuantScheme(15)
