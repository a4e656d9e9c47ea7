"""Quantized models of one visitor: few, small enough, and gone when removed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.errors import UserError
from workbench import variants as module
from workbench.selection import first_selection
from workbench.session import Session
from workbench.variants import (
    MOST,
    MOST_BYTES,
    Variant,
    add,
    check_some,
    chosen,
    compared,
    next_number,
    remove,
)


@pytest.fixture
def session(toy):
    return Session("me", toy, first_selection(toy))


def variant(session, size=1, origin="fashion") -> Variant:
    return Variant(next_number(session), "W4A8", origin, None, object(), bytes=size)


def fill(session, count):
    said = ""
    for _ in range(count):
        new = variant(session)
        said = add(session, new)
        session.quantized = new.quantized
    return said


def side_of(session, samples=3, shape=(1, 4, 4)):
    """A made-up comparison of all variants."""
    count = len(session.variants)
    film = SimpleNamespace(
        x=np.zeros((2, 1, *shape)),
        x_q=np.ones((count, 2, 1, *shape)),
        one_step=np.ones((count, 2, 1, *shape)),
        steps=np.arange(2),
        timesteps=np.array([9.0, 0.0]),
    )
    pictures = np.zeros((samples, *shape), dtype=np.float32)
    comparisons = tuple(
        SimpleNamespace(reference=pictures, candidate=pictures + i, values={"n": i})
        for i in range(count)
    )
    return SimpleNamespace(comparisons=comparisons, film=film)


def test_four_are_kept_and_the_one_that_goes_is_named(session):
    assert fill(session, MOST) == ""
    assert "“1: W4A8” is no longer kept" in fill(session, 1)
    assert [v.number for v in session.variants] == [2, 3, 4, 5]


def test_large_models_are_kept_one_at_a_time(session):
    add(session, variant(session, MOST_BYTES))
    add(session, variant(session, MOST_BYTES))
    assert [v.number for v in session.variants] == [2]


def test_variants_of_another_model_go(session):
    fill(session, 2)
    add(session, variant(session, origin="other"))
    assert [v.number for v in session.variants] == [3]


def test_a_removed_variant_leaves_nothing_behind(session):
    fill(session, 3)
    session.side = compared(session.variants, side_of(session))
    remove(session, 3)
    assert [v.number for v in session.variants] == [1, 2]
    assert [s.number for s in session.side.seen] == [1, 2]
    assert session.quantized is session.variants[-1].quantized
    remove(session, 1)
    remove(session, 2)
    assert session.variants == []
    assert session.side is None
    assert session.quantized is None


def test_unticked_variants_are_not_compared(session):
    with pytest.raises(UserError, match="There is no quantized model yet"):
        check_some(session)
    fill(session, 2)
    session.drawn["left_out"] = {1}
    assert [v.number for v in chosen(session)] == [2]
    session.drawn["left_out"] = {1, 2}
    with pytest.raises(UserError, match="No quantized model is ticked"):
        check_some(session)


def test_few_pictures_are_kept_of_many(session, monkeypatch):
    fill(session, 2)
    many = compared(session.variants, side_of(session, samples=500))
    assert len(many.floating) == len(many.seen[1].pictures) == module.MOST_PICTURES
    assert many.seen[1].pictures.base is None  # a view would hold all of them
    assert many.of(1).values == {"n": 0}
    assert many.of(99) is many.seen[-1]
    monkeypatch.setattr(module, "PICTURE_BYTES", 5 * 3 * 16 * 4)
    assert len(compared(session.variants, side_of(session, samples=500)).floating) == 5
