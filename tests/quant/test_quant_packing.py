"""Packed integers come back, and take the bytes they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import UserError
from analysis.quant.packing import pack, packed_size, unpack


@given(st.integers(2, 8), st.data())
def test_round_trip(bits, data):
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=70))
    levels = np.array(values, dtype=np.uint8)
    packed = pack(levels, bits)
    assert packed.dtype == np.uint8
    assert packed.size == packed_size(len(values), bits)
    assert unpack(packed, bits, len(values)).tolist() == values


@pytest.mark.parametrize("bits", range(2, 9))
def test_large_tensors_of_every_width(bits):
    levels = np.random.default_rng(bits).integers(0, 2**bits, (64, 33, 3, 3)).astype(np.uint8)
    packed = pack(levels, bits)
    assert packed.size == -(-levels.size * bits // 8)
    assert np.array_equal(unpack(packed, bits, levels.size).reshape(levels.shape), levels)


def test_levels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="4 does not fit 2 bits"):
        pack(np.array([4]), 2)


def test_missing_bytes_are_noticed():
    with pytest.raises(UserError, match="10 weights of 4 bits take 5 bytes, not 4"):
        unpack(np.zeros(4, dtype=np.uint8), 4, 10)
