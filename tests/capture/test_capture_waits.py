"""Watching a model waits for its device once a pass, not once a layer."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import analysis
from analysis.capture.direct import Workplace
from analysis.models.trajectory import sample, sampling_spec

WAITS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero")


class Counting(TorchDispatchMode):
    """Counts the operations that make a program wait for its device."""

    def __init__(self):
        super().__init__()
        self.waits = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITS:
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


def waits(work):
    with Counting() as counting:
        work()
    return sum(counting.waits.values())


@pytest.fixture(autouse=True)
def by_torch(monkeypatch):
    """As on a device: torch's own reductions."""
    monkeypatch.setattr(Workplace, "made", classmethod(lambda cls, bins: None))


def test_a_capture_waits_as_often_as_sampling_does(ddpm):
    steps = 4
    plain = waits(lambda: sample(ddpm, sampling_spec(ddpm, steps=steps, samples=2)))
    watched = waits(lambda: analysis.capture(ddpm, steps=steps, samples=2))
    assert watched - plain <= 2 * steps  # the timestep of each pass
    assert len(ddpm.layers) > 10


def test_one_layer_costs_no_fewer_waits_than_all(ddpm):
    every = waits(lambda: analysis.capture(ddpm, steps=3, samples=2))
    single = waits(lambda: analysis.capture(ddpm, steps=3, samples=2, layers="conv_in"))
    assert every == single


def test_such_a_wait_would_be_counted():
    assert waits(lambda: torch.ones(3).sum().item()) == 1
