"""The address: what it holds comes back, and nonsense in it is passed over."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from workbench.selection import first_selection, from_query, to_query


def round_trip(selection, opened):
    return from_query(dict(parse_qsl(to_query(selection, opened))), opened)


def test_a_changed_selection_comes_back(toy):
    changed = replace(
        first_selection(toy),
        layer="mid.linear",
        step=3,
        tab="time",
        stat="sqnr",
        find="mid & <b>",
        bits=7,
        symmetric=True,
        estimator="lp",
        scope="step",
        log=False,
        plot="bands",
        weight_bits=32,
        method="eda-dm",
        preset="fast",
        without="tdac,qdrop",
        options="act_estimator=percentile:99.9;edge_bits=none",
        look="quiz",
        gain=8,
    )
    assert round_trip(changed, toy) == (changed, [])


def test_the_first_selection_has_a_short_address(toy):
    assert to_query(first_selection(toy), toy) == (
        "capture=capture-toy&layer=up.shortcut&t=250&tab=explore"
    )


def test_an_empty_address_is_the_first_selection(toy):
    assert from_query({}, toy) == (first_selection(toy), [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layer", "no.such.layer"),
        ("layer", "up.shortcut#h"),
        ("t", "noon"),
        ("t", "nan"),
        ("t", "5000"),
        ("bits", "33"),
        ("bits", "0"),
        ("bits", "4.0"),
        ("symmetric", "maybe"),
        ("tab", "<script>"),
        ("method", "<script>"),
        ("preset", "cheap"),
        ("without", "a,,b"),
        ("options", "iterations"),
        ("gain", "3"),
        ("stat", "__class__"),
        ("shortcut", "conv_in"),
    ],
)
def test_nonsense_is_named_and_passed_over(toy, name, value):
    assert from_query({name: value}, toy) == (first_selection(toy), [name])


def test_a_timestep_between_two_takes_the_nearest(toy):
    assert from_query({"t": "260"}, toy)[0].step == 2


def test_unknown_names_are_no_nonsense(toy):
    assert from_query({"__theme": "dark", "utm_source": "x"}, toy)[1] == []
