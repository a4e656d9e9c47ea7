"""The form of every registered method: what it shows is what the library will be asked for."""

from __future__ import annotations

from dataclasses import fields

import pytest

from analysis.errors import UserError
from analysis.methods import METHODS
from analysis.methods.method import PRESETS, make_config
from workbench.forms import (
    form_of,
    form_value,
    read,
    with_method,
    with_part,
    with_preset,
    with_value,
)
from workbench.page import NothingToDo
from workbench.recipe import config_of, options_of, options_text, usable
from workbench.selection import READERS, Selection

methods = pytest.mark.parametrize("name", list(METHODS))


def chosen(name: str, **more) -> Selection:
    return Selection("x", 0, method=name, **more)


@methods
def test_every_field_of_the_configuration_is_in_the_form(name):
    form = form_of(METHODS.get(name))
    assert {f.name for f in form} == {f.name for f in fields(METHODS.get(name).config)}
    assert all(f.help and f.label and f.group for f in form)


@methods
@pytest.mark.parametrize("preset", PRESETS)
def test_a_form_that_is_not_touched_asks_for_nothing(name, preset):
    selection = chosen(name, preset=preset)
    value = form_value(selection, {})
    assert not any(field["changed"] for field in value["fields"])
    for field in value["fields"]:
        selection = with_value(selection, field["name"], field["value"])
    assert selection == chosen(name, preset=preset)


def other(field):
    """A value of a field that differs from the default, as a browser sends it."""
    if field.kind == "switch":
        return [True, False]
    if field.kind in ("choice", "text"):
        return [str(c) for c in field.choices if c is not None]
    return [str(field.low), str(field.high)]


@methods
def test_every_field_can_be_changed_and_comes_back_from_the_address(name):
    plain = chosen(name)
    for field in form_of(METHODS.get(name)):
        before = getattr(config_of(plain), field.name)
        raw = next(raw for raw in other(field) if read(field, raw) != before)
        changed = with_value(plain, field.name, raw)
        after = getattr(config_of(changed), field.name)
        assert after != before, field.name
        alone = make_config(METHODS.get(name), "instant", {field.name: after})
        assert config_of(changed) == alone
        assert READERS["options"](changed.options) == changed.options
        assert options_of(changed.options) == {field.name: after}
        assert options_text(options_of(changed.options)) == changed.options


@methods
def test_nonsense_in_any_field_is_one_sentence_about_that_field(name):
    for field in form_of(METHODS.get(name)):
        if field.kind == "switch":
            continue
        with pytest.raises(UserError) as error:
            with_value(chosen(name), field.name, "<img onerror=x>" if field.choices else "many")
        assert "\n" not in str(error.value)


@methods
def test_every_part_can_be_left_out_and_taken_in_again(name):
    method = METHODS.get(name)
    for part in method.parts:
        off = method.parts[part].off
        key = next(iter(off))
        without = with_part(chosen(name, options="softmax_bits=4"), part, out=True)
        assert without.without == part
        assert all(getattr(config_of(without), k) == v for k, v in off.items())
        assert options_of(without.options) == {"softmax_bits": 4}
        row = next(p for p in form_value(without, {})["parts"] if p["name"] == part)
        assert row["out"]
        assert key in row["does"]
        assert with_part(without, part, out=False) == chosen(name, options="softmax_bits=4")


def test_a_part_decides_over_what_was_set_before():
    own = with_value(chosen("eda-dm"), "drop", "0.25")
    assert config_of(with_part(own, "qdrop", out=True)).drop == 0.0


def test_a_preset_fills_the_form_and_a_method_comes_as_it_is():
    own = with_part(with_value(chosen("eda-dm"), "batch", "8"), "fbr", out=True)
    filled = with_preset(own, "fast")
    assert (filled.options, filled.without) == ("", "fbr")
    assert config_of(filled).iterations == METHODS.get("eda-dm").presets["fast"]["iterations"]
    assert with_method(own, "rtn") == chosen("rtn")


def test_an_option_back_at_the_preset_is_no_option():
    preset = METHODS.get("eda-dm").presets["fast"]["batch"]
    own = with_value(chosen("eda-dm", preset="fast"), "batch", str(preset + 1))
    assert options_of(own.options) == {"batch": preset + 1}
    assert with_value(own, "batch", str(preset)) == chosen("eda-dm", preset="fast")


def test_an_empty_field_is_none_where_none_is_allowed():
    own = with_value(chosen("eda-dm"), "last_iterations", "50")
    assert config_of(own).last_iterations == 50
    assert config_of(with_value(own, "last_iterations", "")).last_iterations is None


def test_estimators_take_their_setting():
    own = with_value(chosen("rtn"), "act_estimator", "percentile:99.9")
    assert config_of(own).act_estimator == "percentile:99.9"


def test_what_was_typed_stays_with_its_reason():
    value = form_value(chosen("eda-dm"), {"batch": ("many", "batch must be a number.")})
    field = next(f for f in value["fields"] if f["name"] == "batch")
    assert (field["value"], field["error"]) == ("many", "batch must be a number.")


def test_unknown_fields_and_parts_change_nothing():
    for change in (with_value, with_part):
        with pytest.raises(NothingToDo):
            change(chosen("eda-dm"), "no_such", True)


@pytest.mark.parametrize(
    "nonsense",
    [{"method": "nonsense"}, {"without": "nonsense"}, {"options": "nonsense=1"}],
)
def test_an_address_with_nonsense_leaves_the_method_as_it_comes(nonsense):
    selection, problem = usable(Selection("x", 0, **{"method": "eda-dm", **nonsense}))
    method = "rtn" if "method" in nonsense else "eda-dm"
    assert selection == chosen(method)
    assert "nonsense" in problem
    assert usable(selection) == (selection, "")
