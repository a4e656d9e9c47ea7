"""Reading idx files and padding, on files small enough to write here."""

import gzip
import struct

import numpy as np
import pytest
import torch

from analysis.errors import UserError
from assets.fashion_data import load_images, load_labels, read_idx


def write_idx(path, array: np.ndarray, code: int = 8) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_pictures_are_padded_with_black_and_labels_kept(tmp_path):
    images = np.random.default_rng(0).integers(1, 256, (3, 28, 28), dtype=np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([9, 0, 4], dtype=np.uint8))
    padded = load_images(tmp_path)
    assert padded.shape == (3, 1, 32, 32)
    assert padded.dtype == torch.uint8
    assert np.array_equal(padded[:, 0, 2:30, 2:30], images)
    assert padded.sum() == int(images.sum())
    assert load_labels(tmp_path).tolist() == [9, 0, 4]


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(UserError, match="apt-get install dataset-fashion-mnist"):
        load_images(tmp_path, "t10k")


@pytest.mark.parametrize("damage", ["plain", "cut", "floats", "short"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "x.gz"
    write_idx(path, np.zeros((4, 5), dtype=np.uint8), code=13 if damage == "floats" else 8)
    if damage == "plain":
        path.write_bytes(b"not gzip")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-12])
    elif damage == "short":
        path.write_bytes(gzip.compress(struct.pack(">HBBII", 0, 8, 2, 4, 5) + bytes(19)))
    with pytest.raises(UserError, match=r"x\.gz is not a gzipped idx file"):
        read_idx(path)
