"""Sets and quantized models that the tests of methods share."""

from __future__ import annotations

import pytest
import torch

SMALL = {"calibration_size": 4, "calibration_steps": 2}
FAMILIES = ("ddpm", "sd")


@pytest.fixture(scope="session")
def quantized(models):
    """A tiny model by family, method, plan and options; each made once."""
    from analysis.quant.run import quantize

    made = {}

    def make(family: str, method: str, plan: str = "W4A8", **options):
        key = (family, method, plan, str(sorted(options.items())))
        if key not in made:
            made[key] = quantize(models(family), method, plan, **SMALL | options)
        return made[key]

    return make


@pytest.fixture(scope="session")
def prediction():
    """One step of a model, with a prompt where it takes one."""

    def predict(handle) -> torch.Tensor:
        draw = torch.Generator().manual_seed(3)
        x = torch.randn(2, *handle.sample_shape, generator=draw)
        extra = {}
        if handle.conditional:
            width = handle.denoiser.config.cross_attention_dim
            extra["encoder_hidden_states"] = torch.randn(2, 4, width, generator=draw)
        with torch.no_grad():
            return handle.denoiser(x, 40, **extra).sample

    return predict


@pytest.fixture(scope="session")
def saved_and_loaded(models, prediction, tmp_path_factory):
    """Save a model, load it, and check that nothing was lost."""
    from analysis.quant.store import load_quantized, save_quantized

    def check(family: str, model) -> None:
        folder = save_quantized(model, tmp_path_factory.mktemp("saved") / "run")
        loaded = load_quantized(folder, models(family))
        assert torch.equal(prediction(loaded.handle), prediction(model.handle))
        assert loaded.losses == model.losses
        assert loaded.config == dict(model.config)
        assert (loaded.method, loaded.calibration) == (model.method, model.calibration)
        assert loaded.layers == model.layers

    return check
