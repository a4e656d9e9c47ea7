"""A model on a device is watched there: its statistics are waited for once a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.capture.run import capture
from analysis.models.trajectory import sampling_spec, trajectory
from analysis.quant.run import quantize
from tests.elsewhere import CUDA, Device, elsewhere

families = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])
RUN = {"steps": 3, "samples": 2}


def watched(model, change=None, **options):
    """What is captured of a model on the device, and what sampling alone did not wait for."""
    with Device() as device:
        there = elsewhere(model)
        assert there.digest == model.digest
        if change is not None:
            there = change(there)
        assert there.digest  # brings all weights to the host, which is counted
        device.waits.clear()
        for _ in trajectory(there, sampling_spec(there, **RUN)):
            pass
        sampling = device.waits.copy()
        device.waits.clear()
        return capture(there, **RUN | options), device.waits - sampling


def same(one, other) -> None:
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for a, b in zip(one.stats, other.stats, strict=True):
        reach = np.abs([a.total.min, a.total.max]).max()
        for found, expected in ((a.min, b.min), (a.max, b.max), (a.mean, b.mean), (a.std, b.std)):
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * reach)
        np.testing.assert_array_equal(a.histogram.counts.sum(1), b.histogram.counts.sum(1))


@families
def test_what_is_found_there_is_what_is_found_here(models, family):
    same(watched(models(family))[0], capture(models(family), **RUN))


@families
def test_waits_do_not_depend_on_how_many_layers_are_watched(models, family):
    model = models(family)
    waits = watched(model)[1]
    assert waits == watched(model, layers="conv_in")[1]
    assert waits["_to_copy"] == RUN["steps"]


@families
@pytest.mark.parametrize("plan", ["W8A8", "W4A8"])
def test_nor_when_the_model_is_quantized(models, family, plan):
    model = models(family)
    calibration = capture(model, **RUN)

    def quantized(model):
        return quantize(model, plan=plan, calibration=calibration, split=True).handle

    found, waits = watched(model, quantized)
    same(found, capture(quantized(model), **RUN))
    assert waits == watched(model, quantized, layers="conv_in")[1]


def test_all_values_are_waited_for_layer_by_layer(ddpm):
    found, waits = watched(ddpm, exact=True)
    same(found, capture(ddpm, **RUN, exact=True))
    assert waits["_to_copy"] > RUN["steps"] * len(found.layers) / 2  # some share a tensor


class TestTheDevice:
    def test_counts_what_is_waited_for(self):
        with Device() as device:
            x = torch.ones(3, device=CUDA)
            assert not device.waits
            assert bool(x.sum() > 0)
            assert x.tolist() == [1, 1, 1]
        assert device.waits == {"_local_scalar_dense": 1, "_to_copy": 1}

    def test_counts_what_is_brought_to_the_host_or_looked_for(self):
        with Device() as device:
            x = torch.ones(3, device=CUDA)
            torch.zeros(3).copy_(x)
            assert device.waits == {"copy_": 1}
            assert x[x > 0].shape == (3,)
            x.copy_(torch.zeros(3))
        assert device.waits == {"copy_": 1, "index": 1}

    def test_refuses_what_was_left_behind(self):
        with Device(), pytest.raises(RuntimeError, match="on the host and on the device"):
            torch.nn.functional.linear(torch.ones(1, 3, device=CUDA), torch.ones(2, 3))

    def test_has_no_array(self):
        with Device(), pytest.raises((RuntimeError, TypeError)):
            torch.ones(3, device=CUDA).numpy()

    def test_carries_gradients(self):
        with Device():
            x = torch.tensor([1.0, 2.0], device=CUDA, requires_grad=True)
            (x * x).sum().backward()
            assert x.grad.cpu().tolist() == [2, 4]
