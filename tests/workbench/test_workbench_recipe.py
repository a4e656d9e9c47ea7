"""Bits of single layers in the address: they come back, and nonsense is refused."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.recipe import MOST_ADDRESS, overrides_text, read_overrides
from workbench.selection import PLAN_BITS, first_selection
from workbench.session import Session
from workbench.shell import LAYER_BITS, address_of

LAYERS = ("conv_in", 'a"b', "<img src=x>", "ä;=&", "x[0]*")
PLANS = [f"W{weight}A{act}" for weight in PLAN_BITS for act in PLAN_BITS]


@given(st.dictionaries(st.sampled_from(LAYERS), st.sampled_from(PLANS)))
def test_an_address_gives_back_the_bits_of_single_layers(overrides):
    assert read_overrides(overrides_text(overrides, LAYERS), LAYERS) == overrides


def test_layers_of_other_captures_stay_out():
    assert overrides_text({"elsewhere": "W8A8"}, LAYERS) == ""
    assert (
        overrides_text({"elsewhere": "W8A8", "conv_in": "W2A4"}, LAYERS) == '{"W2A4":["conv_in"]}'
    )


def test_what_would_not_fit_into_an_address_stays_out():
    long = ["x" * MOST_ADDRESS]
    assert overrides_text({long[0]: "W8A8"}, long) == ""


@pytest.mark.parametrize(
    "text",
    [
        "W8A8",
        "[1]",
        "null",
        "NaN",
        '{"W8A8":1}',
        '{"W8A8":"conv_in"}',
        '{"W8A8":[["conv_in"]]}',
        '{"W8A8":[{"conv_in":1}]}',
        '{"W9A8":["conv_in"]}',
        '{"W8A8":["nowhere"]}',
        '{"W8A8":["conv_in","conv_in"]}',
        '{"W8A8":["conv_in"],"W4A4":["conv_in"]}',
        "[" * 100_000,
    ],
)
def test_nonsense_about_single_layers_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - json raises its own kinds
        read_overrides(text, LAYERS)


def test_a_copied_link_holds_the_selection_and_the_layers(toy):
    session = Session("a", toy, first_selection(toy))
    plain = address_of(session)
    assert LAYER_BITS not in plain
    session.overrides = {"mid.linear": "W8A4"}
    assert address_of(session).startswith(plain)
    query = dict(parse_qsl(address_of(session)))
    assert read_overrides(query[LAYER_BITS], toy.names) == session.overrides
