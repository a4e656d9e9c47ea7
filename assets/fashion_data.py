"""Reads Fashion-MNIST from its gzipped idx files and pads it to 32x32."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from analysis.errors import UserError

DEFAULT_FOLDER = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
UNSIGNED_BYTE = 0x08  # the idx code for uint8, the only type these files use


def read_idx(path: Path) -> np.ndarray:
    """The array in a gzipped idx file of unsigned bytes, in the shape its header gives.

    Layout: two zero bytes, a type code, the number of dimensions, then each dimension as a
    big-endian 32-bit integer, then the bytes (http://yann.lecun.com/exdb/mnist/).
    Raises `UserError` if the file is missing or is not of that layout.
    """
    if not path.is_file():
        raise UserError(
            f"There is no {path.name} in {path.parent}; run `apt-get install "
            "dataset-fashion-mnist`, or pass --data FOLDER with the four .gz files."
        )
    try:
        raw = gzip.decompress(path.read_bytes())
        zeros, code, ndim = struct.unpack_from(">HBB", raw)
        shape = struct.unpack_from(f">{ndim}I", raw, 4)
        body = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * ndim)
        if zeros != 0 or code != UNSIGNED_BYTE:
            raise ValueError("not unsigned bytes")
        return body.reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as problem:
        raise UserError(
            f"{path} is not a gzipped idx file of bytes ({problem}); download it again."
        ) from problem


def load_images(folder: Path = DEFAULT_FOLDER, split: str = "train") -> torch.Tensor:
    """Images padded with black, uint8 [N, 1, 32, 32]; `split` is "train" or "t10k"."""
    images = torch.from_numpy(read_idx(Path(folder) / f"{split}-images-idx3-ubyte.gz").copy())
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))  # [N, 28, 28] -> [N, 32, 32]
    return padded.unsqueeze(1)  # [N, 1, 32, 32]


def load_labels(folder: Path = DEFAULT_FOLDER, split: str = "train") -> torch.Tensor:
    """Class numbers 0 to 9 in the order of `CLASSES`, int64 [N]."""
    return torch.from_numpy(
        read_idx(Path(folder) / f"{split}-labels-idx1-ubyte.gz").astype(np.int64)
    )
