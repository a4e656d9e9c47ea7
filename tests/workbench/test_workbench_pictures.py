"""Grids of pictures and their differences, pixel by pixel."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from workbench.pictures import ABOVE, BELOW, MOST_SHOWN, data_address, difference, grid


def test_grid_puts_pictures_in_rows():
    pictures = np.zeros((5, 1, 2, 2))
    pictures[4] = 1
    out = grid(pictures)  # 3 columns, 2 rows, one pixel between
    assert out.shape == (5, 8, 3)
    assert out[3:, 3:5].min() == 255
    assert out.sum() == 4 * 3 * 255


def test_grid_shows_no_more_than_it_should():
    assert grid(np.zeros((500, 3, 1, 1))).shape == grid(np.zeros((MOST_SHOWN, 3, 1, 1))).shape


def test_equal_pictures_differ_nowhere():
    x = np.random.default_rng(0).random((1, 3, 4, 4))
    assert (difference(x, x, 10) == 255).all()


def test_difference_is_signed_and_amplified():
    reference = np.full((1, 1, 1, 3), 0.5)
    candidate = reference + np.array([0.25, -0.25, 0.05])
    out = difference(reference, candidate, 4)[0]
    assert out[0].tolist() == ABOVE.tolist()
    assert out[1].tolist() == BELOW.tolist()
    assert 200 < out[2].mean() < 255


def test_data_address_is_the_same_picture():
    picture = np.random.default_rng(0).integers(0, 255, (3, 5, 3), dtype=np.uint8)
    head, body = data_address(picture).split(",")
    assert head == "data:image/png;base64"
    assert (np.asarray(Image.open(BytesIO(base64.b64decode(body)))) == picture).all()
