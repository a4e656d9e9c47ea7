"""Units of reconstruction: every layer in exactly one, in the order in which they run."""

from __future__ import annotations

import pytest
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D

from analysis.quant.blocks import units

FAMILIES = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])


def within(name: str, unit: str) -> bool:
    return name == unit or name.startswith(f"{unit}.")


@FAMILIES
def test_every_layer_is_in_exactly_one_unit(models, family):
    model = models(family)
    found = units(model)
    assert len(set(found)) == len(found)
    for layer in model.layers:
        assert sum(within(layer.module, unit) for unit in found) == 1, layer.name
    for unit in found:
        assert any(within(layer.module, unit) for layer in model.layers), unit


@FAMILIES
def test_units_come_in_the_order_in_which_they_run(models, family):
    import torch

    model, ran = models(family), []
    found = units(model)
    hooks = [
        model.denoiser.get_submodule(u).register_forward_hook(lambda *_, u=u: ran.append(u))
        for u in found
    ]
    try:
        from analysis.models.conditioning import condition

        told = condition(model, None, None)
        x = torch.zeros(2 if told.guided else 1, *model.sample_shape)
        with torch.no_grad():
            model.denoiser(x, 1, **told.for_batch(1))
    finally:
        for hook in hooks:
            hook.remove()
    assert ran == list(found)  # and each exactly once


@pytest.mark.parametrize(("family", "transformers"), [("ddpm", 0), ("sd", 7), ("sdxl", 10)])
def test_outer_blocks_swallow_inner_ones(models, family, transformers):
    denoiser = models(family).denoiser
    modules = dict(denoiser.named_modules())
    kinds = [modules[unit] for unit in units(models(family))]
    every = list(modules.values())
    for kind in (ResnetBlock2D, BasicTransformerBlock):
        wanted = [m for m in every if isinstance(m, kind)]
        assert [m for m in kinds if isinstance(m, kind)] == sorted(wanted, key=kinds.index)
    assert sum(isinstance(m, BasicTransformerBlock) for m in kinds) == transformers
    inner = [a for m in every if isinstance(m, BasicTransformerBlock) for a in m.modules()]
    attentions = [m for m in kinds if isinstance(m, Attention)]
    assert not any(a in inner for a in attentions)
    assert bool(attentions) is (transformers == 0)


def test_what_lies_in_no_block_is_a_unit_of_its_own(ddpm):
    found = units(ddpm)
    alone = ("conv_in", "time_embedding.linear_1", "time_embedding.linear_2", "conv_out")
    assert set(alone) <= set(found)
    assert "down_blocks.0.downsamplers.0.conv" in found
    assert "down_blocks.0.resnets.0" in found
    assert "mid_block.attentions.0" in found
