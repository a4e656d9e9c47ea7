"""A whole pass is watched on a device without a value being asked for, or brought to the host."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.capture.recorder import Recorder
from analysis.capture.run import observed_layers
from analysis.capture.trace import observed
from analysis.models.inputs import smallest_inputs
from analysis.quant.run import quantize
from tests.elsewhere import META, OneDevice, elsewhere

families = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])


def watched(model, passes: int = 1, drawn: int = 40) -> Recorder:
    """A recorder that has seen whole passes of the model on the device, and is not flushed."""
    denoiser = elsewhere(model.denoiser)
    inputs = smallest_inputs(denoiser, batch=2)
    inputs["timestep"] = 7
    recorder = Recorder(np.array([7.0]), 2, 0, 512, drawn)
    recorder.begin_batch(0, 2)
    layers = observed_layers(model, None)
    watching = observed(denoiser, layers, model.shortcuts, recorder.observe, recorder.begin_pass)
    with torch.no_grad(), OneDevice(), watching:
        for _ in range(passes):
            denoiser(**inputs)
    return recorder


@families
def test_nothing_waits_for_the_device_while_a_model_is_watched(models, family):
    model = models(family)
    recorder = watched(model, passes=2)
    names = [name for name, _ in recorder._pending]
    assert set(names) == {layer.name for layer in observed_layers(model, None)}
    for _, (summary, values) in recorder._pending:
        assert {summary.extremes.device, summary.sums.device, values.device} == {META}


@families
@pytest.mark.parametrize("plan", ["W8A8", "W4A8"])
def test_nor_while_a_quantized_one_is(models, family, plan):
    model = models(family)
    quantized = quantize(model, plan=plan, split=True).handle
    assert len(watched(quantized)._pending) == len(observed_layers(model, None))


def test_the_statistics_are_waited_for_at_the_end_of_a_pass(ddpm):
    with pytest.raises(NotImplementedError, match="meta"):
        watched(ddpm).flush()


def test_all_values_are_waited_for_layer_by_layer(ddpm):
    with pytest.raises(NotImplementedError, match="meta"):
        watched(ddpm, drawn=None)


class TestWhatWouldBeFound:
    def test_a_value_that_decides(self):
        with OneDevice(), pytest.raises(RuntimeError, match="meta"):
            bool(torch.ones(3, device=META).sum() > 0)

    def test_a_tensor_that_was_left_behind(self):
        with OneDevice(), pytest.raises(RuntimeError, match="on cpu and meta"):
            torch.nn.functional.linear(torch.ones(1, 3, device=META), torch.ones(2, 3))
