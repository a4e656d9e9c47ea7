"""The compiled pass: the same numbers as torch's reductions, and nothing else changed by it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.capture import direct, native
from analysis.capture.native import kernel, openmp
from analysis.capture.run import capture
from analysis.records import LayerRef, LayerStats

ROOT = Path(__file__).parents[2]
LINEAR = LayerRef("net.linear", "linear")
CONV = LayerRef("net.conv", "conv")

families = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])
compiled = pytest.mark.skipif(kernel() is None, reason="there is no C compiler here")

SUBNORMALS = """
import numpy as np, torch
from analysis.capture.native import kernel

def kept() -> list[bool]:
    small = np.array([1e-40], dtype=np.float32)
    return [bool((small * np.float32(0.5))[0] > 0), bool((torch.from_numpy(small) * 0.5)[0] > 0)]

before = kept()
kernel()
print(before, kept())
"""

THREADS = """
import os, numpy as np, torch
from analysis.capture.recorder import Recorder
from analysis.records import LayerRef

def threads() -> int:
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(4)
alone = threads()
x = torch.ones(4, 64, 64, 64).exp()
with_torch = threads()
recorder = Recorder(np.array([1.0]), 4, 0, 512, None)
recorder.begin_batch(0, 4)
recorder.observe(((LayerRef("net.conv", "conv"), None),), x)
assert recorder._place is not None
print(alone, with_torch, threads())
"""


def data(kind: str) -> torch.Tensor:
    """Tensors [3, 4, 9, 7] with what a compiler may be careless about."""
    random = np.random.default_rng(0)
    shape = (3, 4, 9, 7)
    x = random.standard_normal(shape)
    if kind == "hardly below zero":
        x = -np.exp(-90 * random.random(shape))
        x[0, 0, 0, 0] = -1.0
    elif kind == "subnormal":
        x *= 1e-40
    elif kind == "signed zeros":
        x = np.where(random.random(shape) < 0.5, -0.0, 0.0)
    elif kind == "far":
        x += 30
    elif kind == "farther":
        x += 300
    elif kind == "huge":
        x *= 1e18
    elif kind == "constant":
        x[:] = -7.25
    return torch.from_numpy(x.astype(np.float32))


KINDS = (
    "normal",
    "hardly below zero",
    "subnormal",
    "signed zeros",
    "far",
    "farther",
    "huge",
    "constant",
)


@compiled
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [CONV, LINEAR], ids=["planes", "rows"])
@pytest.mark.parametrize("drawn", [None, 90])
def test_it_finds_what_torch_finds(record, monkeypatch, kind, layer, drawn):
    x = data(kind)
    steps = [x, x.flip(0)] if layer is CONV else [x.flatten(1, 2), x.flip(0).flatten(1, 2)]
    fast = record(steps, [2, 1], layer, drawn)
    monkeypatch.setattr(direct, "kernel", lambda: None)
    plain = record(steps, [2, 1], layer, drawn)
    for column in ("count", "min", "max", "channel_min", "channel_max"):
        assert np.array_equal(getattr(fast, column), getattr(plain, column)), column
    scale = max(abs(plain.total.min), abs(plain.total.max))
    np.testing.assert_allclose(fast.mean, plain.mean, atol=1e-5 * scale, rtol=0)
    np.testing.assert_allclose(fast.std**2, plain.std**2, rtol=1e-4, atol=1e-6 * scale**2)
    assert np.array_equal(fast.histogram.edges, plain.histogram.edges)
    assert np.array_equal(fast.histogram.counts, plain.histogram.counts)


@compiled
@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.integers(-63, 60), st.integers(-63, 60)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([4, 5, 16, 512]),
    st.sampled_from([None, 7]),
)
def test_it_widens_bins_as_they_are_widened_without_it(record, steps, bins, drawn):
    """Each step's values are spread around a mean, both of any size."""
    normal = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 2, 2)))
    tensors = [(mean * 2.0**far + normal * 2.0**wide).float() for mean, far, wide in steps]
    fast = record(tensors, [1, 1], CONV, drawn, bins=bins)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(direct, "kernel", lambda: None)
        plain = record(tensors, [1, 1], CONV, drawn, bins=bins)
    assert np.array_equal(fast.histogram.edges, plain.histogram.edges)
    assert np.array_equal(fast.histogram.counts, plain.histogram.counts)


@compiled
def test_loading_it_leaves_arithmetic_as_it_was():
    """A library linked for fast arithmetic flushes tiny numbers to zero, in the whole process."""
    done = subprocess.run(
        [sys.executable, "-c", SUBNORMALS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[True, True] [True, True]\n"


def mixture(layout: str) -> tuple[torch.Tensor, LayerRef]:
    """Values [5, 24, 40, 20] far more than one thread is given, of unlike channels."""
    random = np.random.default_rng(1)
    x = random.standard_normal((5, 24, 40, 20)) * np.exp(random.standard_normal((24, 1, 1)))
    picture = torch.from_numpy(x.astype(np.float32))
    if layout == "rows":
        return picture.flatten(2).transpose(1, 2).contiguous(), LINEAR
    return picture, CONV


def as_bytes(stats: LayerStats) -> list[bytes]:
    arrays = [getattr(stats, field.name) for field in fields(stats) if field.name != "histogram"]
    return [array.tobytes() for array in (*arrays, stats.histogram.counts, stats.histogram.edges)]


@compiled
@pytest.mark.parametrize("layout", ["planes", "rows"])
@pytest.mark.parametrize("part", [None, slice(3, 20)])
@pytest.mark.parametrize("drawn", [None, 6_000])
def test_no_bit_depends_on_the_number_of_threads(record, monkeypatch, layout, part, drawn):
    x, layer = mixture(layout)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            found.append(as_bytes(record([x, -x], [3, 2], layer, drawn, part=part)))
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(native, "openmp", lambda: None)
    found.append(as_bytes(record([x, -x], [3, 2], layer, drawn, part=part)))
    assert all(one == found[0] for one in found[1:])


@compiled
@pytest.mark.skipif(openmp() is None, reason="torch's OpenMP is another than GNU's")
def test_the_threads_are_torchs_own():
    """Once torch has all its threads, a capture starts none."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    alone, with_torch, after = map(int, done.stdout.split())
    assert with_torch >= alone + 3
    assert after == with_torch


@families
@compiled
@pytest.mark.parametrize("exact", [False, True])
def test_a_whole_capture_is_the_same_without_it(models, monkeypatch, family, exact):
    options = {"steps": 3, "samples": 3, "batch": 2, "exact": exact}
    fast = capture(models(family), **options)
    monkeypatch.setattr(direct, "kernel", lambda: None)
    plain = capture(models(family), **options)
    assert [layer.name for layer in fast.layers] == [layer.name for layer in plain.layers]
    for layer in plain.layers:
        a, b = fast[layer.name], plain[layer.name]
        for column in ("count", "min", "max", "channel_min", "channel_max"):
            assert np.array_equal(getattr(a, column), getattr(b, column)), (layer.name, column)
        assert np.array_equal(a.histogram.counts, b.histogram.counts), layer.name
        assert np.array_equal(a.histogram.edges, b.histogram.edges), layer.name
        spread = b.std.max() + np.abs(b.mean).max()
        np.testing.assert_allclose(a.mean, b.mean, atol=1e-5 * spread, rtol=0)
        np.testing.assert_allclose(a.std, b.std, atol=1e-4 * spread, rtol=0)
