"""The units that reconstruction learns one after another."""

from __future__ import annotations

from collections.abc import Iterator

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D, ResnetBlockCondNorm2D
from torch import nn

from analysis.models.handle import ModelHandle

BLOCKS = (ResnetBlock2D, ResnetBlockCondNorm2D, Attention, BasicTransformerBlock)


def units(handle: ModelHandle) -> tuple[str, ...]:
    """Names of residual, attention and transformer blocks, and of layers outside any of them.

    In execution order, as in BRECQ (Li et al. 2021, section 3.2) and Q-Diffusion. A block within
    a block (the attention of a transformer block) belongs to the outer one.
    """
    modules = dict(handle.denoiser.named_modules())
    found = dict.fromkeys(_unit_of(layer.module, modules) for layer in handle.layers)
    return tuple(found)


def _unit_of(layer: str, modules: dict[str, nn.Module]) -> str:
    return next((n for n in _ancestors(layer) if isinstance(modules[n], BLOCKS)), layer)


def _ancestors(name: str) -> Iterator[str]:
    """`a`, `a.b`, `a.b.c`: the outermost first."""
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))
