"""Grids for all layers and for some alone: how knobs change them, and how an address holds them."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workbench.conftest import make_capture
from workbench.captures import OpenCapture
from workbench.grids import (
    ESTIMATORS,
    MOST_OWN,
    changed,
    clipped,
    from_text,
    setting,
    to_text,
    with_grid,
)
from workbench.selection import READERS, first_selection, from_query, to_query
from workbench.session import Session
from workbench.whatif import GRANULARITIES, Grid

HOSTILE = '<img src=x onerror="hacked()">&layer=a;own=[]#%00"]'
TOY = OpenCapture("capture-toy", make_capture(("conv_in", HOSTILE, "up.shortcut")))
START = first_selection(TOY)
ENDS = st.floats(0, 1e6).map(lambda v: float(f"{v:.5g}"))
GRIDS = st.builds(
    Grid,
    bits=st.integers(2, 8),
    symmetric=st.booleans(),
    estimator=st.sampled_from(ESTIMATORS),
    granularity=st.sampled_from(GRANULARITIES),
    keep=st.integers(20, 100),
    clip=st.none() | st.tuples(ENDS.map(lambda v: -v), ENDS.map(lambda v: v + 1)),
)
OWN = st.dictionaries(st.sampled_from(TOY.names), GRIDS).map(lambda d: tuple(d.items()))


@given(own=OWN)
def test_an_address_gives_back_the_grids(own):
    assert from_text(to_text(own), TOY.names) == own


@given(
    own=OWN,
    grid=GRIDS,
    layer=st.sampled_from(TOY.names),
    step=st.integers(0, TOY.steps - 1),
    applies=st.sampled_from(["all", "layer"]),
    find=st.text(st.characters(codec="utf-8"), max_size=80),
)
def test_a_selection_goes_into_the_address_and_comes_back(own, grid, layer, step, applies, find):
    names = ("bits", "symmetric", "estimator", "granularity", "keep")
    base = {name: getattr(grid, name) for name in names}
    selection = replace(START, layer=layer, step=step, own=own, applies=applies, find=find, **base)
    query = dict(parse_qsl(to_query(selection, TOY), keep_blank_values=True))
    assert from_query(query, TOY) == (selection, [])


@given(query=st.dictionaries(st.sampled_from([*READERS, "own", "layer", "t"]), st.text()))
def test_any_address_gives_a_selection_that_can_be_shown(query):
    selection, nonsense = from_query(query, TOY)
    assert set(nonsense) <= set(query)
    assert selection.layer in TOY.names
    assert TOY.table("sqnr", selection.base, selection.own).shape == (3, 4)
    again = dict(parse_qsl(to_query(selection, TOY), keep_blank_values=True))
    assert from_query(again, TOY) == (selection, [])


GOOD = ["conv_in", 4, False, "lp", "per_tensor", 100, [-1, 2]]


def with_part(place: int, value: object) -> str:
    row = list(GOOD)
    row[place] = value
    return json.dumps([row])


def test_the_row_that_is_spoiled_below_is_good():
    assert from_text(json.dumps([GOOD]), TOY.names) == (
        ("conv_in", Grid(4, False, "lp", clip=(-1.0, 2.0))),
    )


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "{}x",
        "[[1]]",
        "null",
        "7",
        '"conv_in"',
        "[" * 100_000,
        json.dumps([GOOD, GOOD]),
        with_part(0, "another.capture.s.layer"),
        with_part(0, ["conv_in"]),
        with_part(1, 9),
        with_part(1, 4.0),
        with_part(1, True),
        with_part(2, 1),
        with_part(3, "kl"),
        with_part(3, None),
        with_part(4, "per_row"),
        with_part(5, 19),
        with_part(6, [1, 2]),
        with_part(6, [0, 0]),
        with_part(6, [-1e300, 2]),
        with_part(6, [float("nan"), 2]),
        with_part(6, [-float("inf"), 2]),
        with_part(6, [-1]),
        with_part(6, "ab"),
        with_part(6, 5),
    ],
)
def test_nonsense_about_grids_is_passed_over(text):
    assert from_query({"own": text}, TOY) == (START, ["own"])


def test_a_change_for_all_reaches_every_layer():
    own = with_grid(START, "conv_in", Grid(8, estimator="lp"))
    after = changed(own, bits=3)
    assert after.base == Grid(3)
    assert dict(after.own) == {"conv_in": Grid(3, estimator="lp")}
    assert changed(after, estimator="lp").own == ()  # nothing tells it apart any more


def test_a_change_for_one_layer_stays_there():
    one = changed(replace(START, applies="layer"), symmetric=True)
    assert one.base == Grid()
    assert one.own == ((START.layer, Grid(symmetric=True)),)
    assert changed(one, symmetric=False).own == ()


def test_a_drawn_range_is_for_the_selected_layer():
    drawn = clipped(replace(START, granularity="per_channel", keep=50), -1.23456789, 7)
    assert drawn.grid == Grid(clip=(-1.2346, 7.0))
    assert drawn.base.granularity == "per_channel"
    assert changed(drawn, bits=3).grid.clip == (-1.2346, 7.0)
    assert changed(drawn, estimator="lp").grid.clip is None


@pytest.mark.parametrize("ends", [(0, 0), (float("nan"), 1), (-float("inf"), 1), (0, 1e31)])
def test_a_range_that_is_none_changes_nothing(ends):
    assert clipped(START, *ends) == START


def test_zero_stays_inside_a_drawn_range():
    assert clipped(START, 1, 5).grid.clip == (0.0, 5.0)


def test_the_newest_grids_stay_when_there_are_too_many():
    names = [f"layer {i}" for i in range(MOST_OWN + 3)]
    selection = START
    for name in names:
        selection = with_grid(selection, name, Grid(8))
    assert [name for name, _ in selection.own] == names[3:]


@pytest.mark.parametrize(
    ("name", "value"), [("bits", None), ("bits", 1), ("estimator", "kl"), ("keep", 19.5)]
)
def test_a_control_that_holds_no_value_changes_nothing(name, value):
    session = Session("a", TOY, START)
    setting(name)(session, value)
    assert session.selection == START
