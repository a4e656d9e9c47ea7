"""Pictures of a comparison as a PNG file: float above quantized."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from analysis.atomic import write_whole
from analysis.comparison import Comparison
from analysis.records import Array


def to_uint8(pictures: Array) -> Array:
    """[N, C, H, W] in [0, 1] to [N, H, W] (one channel) or [N, H, W, 3] bytes."""
    bytes_ = np.round(pictures * 255).astype(np.uint8).transpose(0, 2, 3, 1)  # [N, H, W, C]
    return bytes_[..., 0] if bytes_.shape[-1] == 1 else bytes_[..., :3]


def grid(pictures: Array, columns: int = 8) -> Array:
    """Pictures [N, C, H, W] side by side, [rows * H, columns * W(, 3)] bytes."""
    tiles = to_uint8(pictures)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    blank = np.zeros((rows * columns - len(tiles), *tiles.shape[1:]), dtype=np.uint8)
    tiles = np.concatenate([tiles, blank])
    lines = [np.concatenate(list(tiles[i * columns : (i + 1) * columns]), 1) for i in range(rows)]
    return np.concatenate(lines)


def save_pictures(comparison: Comparison, folder: Path) -> list[Path]:
    """Write `float.png` and `quantized.png`, grids of all samples in the same order.

    Raises:
        UserError: when a file cannot be written, for want of room say.
    """
    paths = [folder / "float.png", folder / "quantized.png"]
    for path, pictures in zip(paths, (comparison.reference, comparison.candidate), strict=True):
        content = BytesIO()
        Image.fromarray(grid(pictures)).save(content, "PNG")
        write_whole(path, content.getvalue())
    return paths
