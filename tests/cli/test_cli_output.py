"""What commands print and draw: JSON's types, tables, pictures side by side."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.comparison import Comparison
from analysis.console import number, plain, progress_bar, say, table
from analysis.errors import UserError
from analysis.pictures import grid, save_pictures, to_uint8
from analysis.records import SamplingSpec


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan, -np.inf]), [1.0, None, None]),
        (math.inf, None),
        ({2: (math.nan, "x")}, {"2": [None, "x"]}),
        (None, None),
        (True, True),
    ],
)
def test_values_in_jsons_types(value, expected):
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_say_prints_json_or_lines(capsys):
    say({"a": np.arange(2)}, True, ["for people"])
    say({"a": 1}, False, ["for", "people"])
    assert capsys.readouterr().out == '{"a": [0, 1]}\nfor\npeople\n'


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1.256,), "1.26"),
        ((1.256, "dB", 1), "1.3 dB"),
        ((None,), "-"),
        ((math.nan, "dB"), "-"),
        ((math.inf, "dB"), "inf dB"),
    ],
)
def test_numbers_for_people(arguments, text):
    assert number(*arguments) == text


def test_columns_are_aligned():
    assert table([["a", "long"], ["longer", "b"]]) == ["a       long", "longer  b"]


def test_the_progress_bar_is_for_terminals(capsys, monkeypatch):
    with progress_bar("work") as progress:
        progress(1, 3, "first")
    assert capsys.readouterr().err == ""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("work") as progress:
        progress(1, 3, "first")
    assert "work" in terminal.getvalue()


def comparison(reference: np.ndarray) -> Comparison:
    return Comparison(reference, 1 - reference, {}, SamplingSpec(1, 1, 0, "ddim"))


def test_pictures_become_bytes():
    grey = np.array([0, 0.5, 1]).reshape(3, 1, 1, 1)
    assert to_uint8(grey).reshape(-1).tolist() == [0, 128, 255]
    assert to_uint8(np.zeros((2, 3, 4, 5))).shape == (2, 4, 5, 3)


@pytest.mark.parametrize(("count", "shape"), [(1, (2, 3)), (8, (2, 24)), (9, (4, 24))])
def test_pictures_stand_in_rows_of_eight(count, shape):
    pictures = np.ones((count, 1, 2, 3)) * np.arange(1, count + 1).reshape(-1, 1, 1, 1) / 255
    drawn = grid(pictures)
    assert drawn.shape == shape
    assert drawn[0, ::3].tolist() == list(range(1, min(count, 8) + 1))
    if count == 9:
        assert drawn[2, ::3].tolist() == [9, *[0] * 7]


def test_both_sides_are_saved_in_the_same_order(tmp_path):
    colours = np.random.default_rng(0).random((3, 3, 4, 4))
    paths = save_pictures(comparison(colours), tmp_path / "new")
    assert [path.name for path in paths] == ["float.png", "quantized.png"]
    for path, pictures in zip(paths, (colours, 1 - colours), strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), grid(pictures))


def test_a_full_disk_keeps_the_old_pictures(tmp_path, monkeypatch):
    save_pictures(comparison(np.zeros((1, 1, 4, 4))), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        write(self, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"float.png could not be written \(No space left"):
        save_pictures(comparison(np.ones((1, 1, 4, 4))), tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(before)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
