"""The measured error of a layer: against the layer's own input, taken by a hook."""

from __future__ import annotations

import math
from contextlib import ExitStack

import numpy as np
import pytest
import torch

from analysis.errors import Cancelled
from analysis.layer_errors import layer_errors
from analysis.models.trajectory import sample, sampling_spec
from analysis.quant.assemble import quant_layers
from analysis.quant.run import quantize

SAMPLES, STEPS, SEED = 2, 3, 5


@pytest.fixture(scope="module")
def rounded(ddpm, ddpm_capture):
    return quantize(ddpm, plan="W4A6", calibration=ddpm_capture)


@pytest.fixture(scope="module")
def measured(ddpm, rounded):
    return layer_errors(ddpm, rounded, SAMPLES, STEPS, SEED)


@pytest.fixture(scope="module")
def inputs(ddpm):
    """What every layer of the float model is given on the same run."""
    found: dict[str, list[torch.Tensor]] = {}
    names = [layer.name for layer in ddpm.layers if layer.kind in ("conv", "linear")]

    def hook(name: str):
        return lambda module, args, out: found.setdefault(name, []).append(args[0])

    with ExitStack() as stack:
        for name in names:
            handle = ddpm.denoiser.get_submodule(name).register_forward_hook(hook(name))
            stack.callback(handle.remove)
        sample(ddpm, sampling_spec(ddpm, STEPS, SAMPLES, SEED))
    return found


def decibels(true: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    x, y = (np.concatenate([t.double().numpy().ravel() for t in side]) for side in (true, other))
    return float(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()))


def test_every_layer_is_measured_on_the_float_models_activations(ddpm, rounded, measured, inputs):
    twins = quant_layers(rounded.handle.denoiser)
    assert set(measured) == set(twins)
    for name, twin in twins.items():
        layer, xs = ddpm.denoiser.get_submodule(name), inputs[name]
        with torch.no_grad():
            into = decibels(xs, [twin.input_quantizer(x) for x in xs])
            out = decibels([layer(x) for x in xs], [twin(x) for x in xs])
        assert measured[name].input_db == pytest.approx(into, abs=1e-3), name
        assert measured[name].output_db == pytest.approx(out, abs=1e-3), name


def test_the_model_is_left_as_it_was(ddpm, rounded):
    before = sample(ddpm, sampling_spec(ddpm, 2, 1))
    layer_errors(ddpm, rounded, 1, 2)
    assert torch.equal(sample(ddpm, sampling_spec(ddpm, 2, 1)), before)


def test_a_float_input_loses_nothing(ddpm):
    found = layer_errors(ddpm, quantize(ddpm, plan="W4A32"), 1, 1)
    assert all(error.input_db == math.inf for error in found.values())
    assert all(math.isfinite(error.output_db) for error in found.values())


def test_prompts_and_transformer_blocks_are_no_obstacle(sd):
    found = layer_errors(sd, quantize(sd, plan="W4A32"), 1, 1)
    assert any("attn2.to_k" in name for name in found)


def test_it_stops_when_asked(ddpm, rounded):
    with pytest.raises(Cancelled):
        layer_errors(ddpm, rounded, 1, 2, should_stop=lambda: True)
