"""Grids of pictures and their differences, pixel by pixel."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from workbench.pictures import (
    ABOVE,
    BELOW,
    MOST_SHOWN,
    data_address,
    difference,
    grid,
    noisy,
    signed,
    strip,
)


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


def test_signed_colours_are_centred_on_zero_and_full_at_the_gain():
    change = np.array([0.0, 0.5, -0.5, 5.0])[:, None, None, None]  # [N, C, H, W]
    white, above, below, beyond = signed(change, 2)[:, 0, 0]
    assert white.tolist() == [255, 255, 255]
    assert above.tolist() == beyond.tolist() == ABOVE.tolist()
    assert below.tolist() == BELOW.tolist()


def test_noisy_pictures_are_cut_and_latents_are_fitted():
    x = np.array([-3.0, -1, 0, 1, 3])[:, None, None, None]
    assert noisy(x)[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]
    latent = noisy(np.repeat(x, 4, axis=1))[:, 0, 0]
    assert latent.shape == (5, 3)
    assert latent[[0, 2, 4], 0].tolist() == [0, 128, 255]


def test_a_strip_has_a_frame_below_the_other():
    frames = np.arange(6, dtype=np.uint8).reshape(3, 2, 1, 1, 1).repeat(3, axis=-1)
    out = strip(frames)  # two pictures and a black pixel between them in each of three frames
    assert out.shape == (3, 3, 3)
    assert out[:, :, 0].tolist() == [[0, 0, 1], [2, 0, 3], [4, 0, 5]]
