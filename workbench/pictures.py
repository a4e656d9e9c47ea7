"""Sampled pictures as the page shows them: grids, and amplified signed differences."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from analysis.records import Array

BELOW, ABOVE = np.array([0, 114, 178]), np.array([213, 94, 0])  # darker, brighter than float
MOST_SHOWN = 64


def grid(pictures: Array) -> Array:
    """Up to 64 pictures [N, C, H, W] in [0, 1] as one [rows * H, columns * W, 3] of bytes."""
    shown = _rgb(pictures[:MOST_SHOWN])
    return tiled(np.round(shown * 255).astype(np.uint8))


def difference(reference: Array, candidate: Array, gain: float) -> Array:
    """Signed difference, `gain` times: white where equal, orange brighter, blue darker."""
    change = (candidate - reference)[:MOST_SHOWN].mean(axis=1)  # [N, H, W]
    amount = np.clip(np.abs(change) * gain, 0, 1)[..., None]
    ink = np.where((change > 0)[..., None], ABOVE, BELOW)
    return tiled(np.round(255 + amount * (ink - 255.0)).astype(np.uint8))


def tiled(tiles: Array) -> Array:
    """Tiles [N, H, W, 3] side by side in rows, nearly square, one black pixel between them."""
    count, height, width, _ = tiles.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    out = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), dtype=np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        out[top : top + height, left : left + width] = tile
    return out


def data_address(picture: Array) -> str:
    """A PNG of [H, W, 3] bytes as an address that needs no request."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _rgb(pictures: Array) -> Array:
    """[N, C, H, W] to [N, H, W, 3]; one channel becomes grey, further ones are left out."""
    last = np.moveaxis(pictures, 1, -1)
    return np.repeat(last[..., :1], 3, axis=-1) if last.shape[-1] < 3 else last[..., :3]
