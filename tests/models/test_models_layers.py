"""Layers and shortcuts as traced, against the modules and blocks that diffusers built."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DModel
from torch import nn

from analysis.errors import UserError
from analysis.models.inputs import smallest_inputs
from analysis.models.layers import half_refs, select_layers, trace_layers
from analysis.records import LayerRef, Shortcut
from tests.conftest import tiny_unet

families = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])


def weighted(denoiser: nn.Module) -> dict[str, nn.Module]:
    return {n: m for n, m in denoiser.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


def order_of_execution(denoiser: nn.Module) -> list[str]:
    """Names in the order in which hooks of our own see the modules run."""
    seen: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda m, args, name=name: seen.append(name))
        for name, module in weighted(denoiser).items()
    ]
    with torch.no_grad():
        denoiser(**smallest_inputs(denoiser, batch=2))
    for hook in hooks:
        hook.remove()
    return seen


def skips_by_structure(denoiser) -> list[int]:
    """Channels of the skip tensors in the order the upward blocks take them."""
    channels = [denoiser.conv_in.out_channels]
    for block in denoiser.down_blocks:
        channels += [resnet.conv2.out_channels for resnet in block.resnets]
        channels += [down.conv.out_channels for down in block.downsamplers or []]
    return channels[::-1]


@families
def test_every_convolution_and_linear_map_is_found_in_the_order_it_runs(models, family):
    model = models(family)
    traced = [layer.name for layer in model.layers if layer.kind in ("conv", "linear")]
    assert traced == order_of_execution(model.denoiser)
    assert set(traced) == set(weighted(model.denoiser))
    assert model.trace.never_ran == ()


@families
def test_kinds_and_shapes_are_those_of_the_weights(models, family):
    modules = weighted(models(family).denoiser)
    for layer in models(family).layers:
        if layer.kind == "attention":
            assert layer.shape == ()
        else:
            assert layer.shape == tuple(modules[layer.name].weight.shape)
            assert layer.kind == {4: "conv", 2: "linear"}[len(layer.shape)]


@families
def test_every_attention_has_four_operands_behind_its_values(models, family):
    model = models(family)
    names = [layer.name for layer in model.layers]
    attentions = [n for n, m in model.denoiser.named_modules() if hasattr(m, "to_v")]
    assert attentions
    for name in attentions:
        at = names.index(f"{name}.to_v")
        taps = [f"{name}#{tap}" for tap in ("q", "k", "v", "softmax")]
        assert names[at + 1 : at + 5] == taps
    assert len(set(names)) == len(names)


@families
def test_the_edges_are_the_first_convolution_and_the_last_layer(models, family):
    assert models(family).first_layer == "conv_in"
    assert models(family).last_layer == "conv_out"


@families
def test_shortcuts_are_those_of_the_upward_blocks(models, family):
    model = models(family)
    resnets = [
        f"up_blocks.{i}.resnets.{j}.conv_shortcut"
        for i, block in enumerate(model.denoiser.up_blocks)
        for j in range(len(block.resnets))
    ]
    assert [shortcut.layer for shortcut in model.shortcuts] == resnets
    skips = skips_by_structure(model.denoiser)
    for shortcut, skip in zip(model.shortcuts, skips, strict=True):
        layer = model.denoiser.get_submodule(shortcut.layer)
        assert shortcut.channels_skip == skip
        assert shortcut.channels_h + shortcut.channels_skip == layer.in_channels


@families
def test_the_seam_is_followed_through_normalization(models, family):
    model = models(family)
    expected = [
        (s.layer.replace("conv_shortcut", "conv1"), s.channels_h, s.channels_skip)
        for s in model.shortcuts
    ]
    found = [(s.layer, s.channels_h, s.channels_skip) for s in model.normed_shortcuts]
    assert found == expected


def test_what_mixes_channels_ends_the_seam():
    class Mixing(UNet2DModel):
        def forward(self, sample, timestep):
            joined = torch.cat([sample, sample], dim=1)
            half = sample.shape[1]
            self.raw(joined)
            self.normed(nn.functional.silu(self.norm(joined.clone())))
            self.flipped(joined.flip(1))
            self.mixed(self.raw(self.norm(joined)) + joined)
            self.plain(joined[:, :half])
            return self.last(torch.cat([sample, sample, sample], dim=1))

    unet = Mixing(
        sample_size=8,
        in_channels=4,
        block_out_channels=(8,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        layers_per_block=1,
        norm_num_groups=4,
    )
    unet.norm = nn.GroupNorm(2, 8)
    for name in ("raw", "normed", "flipped", "mixed"):
        setattr(unet, name, nn.Conv2d(8, 8, 1))
    unet.plain, unet.last = nn.Conv2d(4, 8, 1), nn.Conv2d(12, 8, 1)
    traced = trace_layers(unet)
    assert traced.shortcuts == (Shortcut("raw", 4, 4),)
    # raw ran twice, on the concatenation and behind its normalization.
    assert traced.normed_shortcuts == (Shortcut("normed", 4, 4), Shortcut("raw", 4, 4))


def test_halves_behind_a_normalization_are_observed_when_asked(ddpm):
    from analysis.capture.run import capture

    asked = ddpm.with_normed_halves()
    assert ddpm.with_normed_halves().digest == ddpm.digest
    done = capture(asked, steps=2, samples=2, exact=True)
    plain = capture(ddpm, steps=2, samples=2, exact=True)
    extra = {layer.name for layer in done.layers} - {layer.name for layer in plain.layers}
    names = [s.layer for s in ddpm.normed_shortcuts]
    assert extra == {f"{name}#{tap}" for name in names for tap in ("h", "skip")}
    cut = ddpm.normed_shortcuts[1]
    whole, h = done[cut.layer], done[f"{cut.layer}#h"]
    assert h.count[0] * (cut.channels_h + cut.channels_skip) == whole.count[0] * cut.channels_h
    assert (h.channel_max == whole.channel_max[:, : cut.channels_h]).all()


def test_some_shortcut_is_not_cut_in_the_middle(ddpm):
    # Equal halves everywhere would hide a seam measured from the wrong end.
    assert any(s.channels_h != s.channels_skip for s in ddpm.shortcuts)


@pytest.mark.parametrize(
    ("down", "up"),
    [
        ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"),
        ("DownBlock2D", "UpBlock2D"),
    ],
)
def test_other_blocks_and_class_labels_are_traced_too(down, up):
    unet = tiny_unet(
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        down_block_types=(down, down),
        up_block_types=(up, up),
        attention_head_dim=4,
        num_class_embeds=5,
    )
    traced = trace_layers(unet)
    names = [layer.name for layer in traced.layers if layer.kind != "attention"]
    assert names == order_of_execution(unet)
    assert len(traced.shortcuts) == 6
    for shortcut in traced.shortcuts:
        channels = shortcut.channels_h + shortcut.channels_skip
        assert channels == unet.get_submodule(shortcut.layer).in_channels


def test_a_layer_that_does_not_take_part_is_told_apart(ddpm):
    unet = UNet2DModel.from_config(ddpm.denoiser.config)
    unet.unused = nn.Linear(3, 3)
    traced = trace_layers(unet)
    assert traced.never_ran == ("unused",)
    assert "unused" not in [layer.name for layer in traced.layers]


@pytest.mark.parametrize("training", [True, False])
def test_tracing_leaves_the_model_as_it_was(ddpm, training):
    unet = UNet2DModel.from_config(ddpm.denoiser.config).train(training)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    trace_layers(unet)
    assert unet.training is training
    assert all(torch.equal(before[name], value) for name, value in unet.state_dict().items())


def test_a_model_without_convolution_is_refused(ddpm):
    config = ddpm.denoiser.config

    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)
            self.config = config

        def forward(self, sample, timestep):
            return self.layer(sample.reshape(-1, 1))

    with pytest.raises(UserError, match="no convolution: only UNet denoisers are supported"):
        trace_layers(Flat())


class TestSelect:
    layers = tuple(LayerRef(n, "conv") for n in ("conv_in", "mid.a.conv1", "mid.b.conv1", "out"))

    @pytest.mark.parametrize(
        ("pattern", "chosen"),
        [
            (None, ["conv_in", "mid.a.conv1", "mid.b.conv1", "out"]),
            ("*", ["conv_in", "mid.a.conv1", "mid.b.conv1", "out"]),
            ("mid*", ["mid.a.conv1", "mid.b.conv1"]),
            ("mid.?.conv1", ["mid.a.conv1", "mid.b.conv1"]),
            ("mid.[b-z]*", ["mid.b.conv1"]),
            ("out, conv_in", ["conv_in", "out"]),
            ("out,*t", ["out"]),
        ],
    )
    def test_globs_choose_in_the_models_order(self, pattern, chosen):
        assert [layer.name for layer in select_layers(self.layers, pattern)] == chosen

    @pytest.mark.parametrize("pattern", ["nothing*", "conv_in,nothing*", "CONV_IN", "", "conv"])
    def test_a_glob_without_a_match_is_refused(self, pattern):
        bad = pattern.split(",")[-1]
        with pytest.raises(UserError) as refused:
            select_layers(self.layers, pattern)
        assert str(refused.value) == (
            f"The layer pattern {bad!r} matches none of the 4 layers; names look like "
            "'mid.b.conv1' and * stands for anything."
        )


def test_halves_are_named_after_their_layer():
    refs = half_refs([Shortcut("up.conv_shortcut", 3, 5)])
    assert [(r.name, r.kind, r.tap, r.module) for r in refs] == [
        ("up.conv_shortcut#h", "half", "h", "up.conv_shortcut"),
        ("up.conv_shortcut#skip", "half", "skip", "up.conv_shortcut"),
    ]
