"""The compiled pass: the same numbers as torch's reductions, and nothing else changed by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.capture import direct
from analysis.capture.native import kernel
from analysis.records import LayerRef

ROOT = Path(__file__).parents[2]
LINEAR = LayerRef("net.linear", "linear")
CONV = LayerRef("net.conv", "conv")

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
    elif kind == "huge":
        x *= 1e18
    elif kind == "constant":
        x[:] = -7.25
    return torch.from_numpy(x.astype(np.float32))


KINDS = ("normal", "hardly below zero", "subnormal", "signed zeros", "far", "huge", "constant")


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
def test_loading_it_leaves_arithmetic_as_it_was():
    """A library linked for fast arithmetic flushes tiny numbers to zero, in the whole process."""
    done = subprocess.run(
        [sys.executable, "-c", SUBNORMALS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[True, True] [True, True]\n"
