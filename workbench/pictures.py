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
    return tiled(signed((candidate - reference)[:MOST_SHOWN], gain))


def signed(change: Array, gain: float) -> Array:
    """Signed values [..., C, H, W] as colours [..., H, W, 3] of bytes; full colour at 1 / gain.

    The map is centred on 0, which is white; channels are averaged.
    """
    mean = change.mean(axis=-3)  # [..., H, W]
    amount = np.clip(np.abs(mean) * gain, 0, 1)[..., None]
    ink = np.where((mean > 0)[..., None], ABOVE, BELOW)
    return np.round(255 + amount * (ink - 255.0)).astype(np.uint8)


def noisy(x: Array) -> Array:
    """x_t [..., C, H, W] as colours [..., H, W, 3] of bytes.

    One or three channels are pictures in [-1, 1], of which the noise beyond is cut off. More are
    a latent: its first three channels, grey at 0 and full at the greatest of all values.
    """
    latent = x.shape[-3] not in (1, 3)
    top = max(float(np.abs(x).max()), 1e-12) if latent else 1.0
    return np.round(255 * np.clip(_rgb(x) / top / 2 + 0.5, 0, 1)).astype(np.uint8)


def strip(frames: Array) -> Array:
    """Frames [T, K, H, W, 3] below each other, the K pictures of one side by side."""
    count, several, height, width, _ = frames.shape
    rows = np.zeros((count, height, several * (width + 1) - 1, 3), dtype=np.uint8)
    for k in range(several):
        rows[:, :, k * (width + 1) : k * (width + 1) + width] = frames[:, k]
    return rows.reshape(count * height, -1, 3)


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
    """[..., C, H, W] to [..., H, W, 3]; one channel becomes grey, further ones are left out."""
    last = np.moveaxis(pictures, -3, -1)
    return np.repeat(last[..., :1], 3, axis=-1) if last.shape[-1] < 3 else last[..., :3]
