"""Feature maps of the middle of a denoiser, and what the denoiser is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from analysis.errors import UserError


def middle(denoiser: nn.Module) -> str:
    """Name of the deepest module: the mid block's last attention, else the mid block itself.

    A denoiser without a mid block has its last down block there.

    Raises:
        UserError: when it has neither.
    """
    block = getattr(denoiser, "mid_block", None)
    if block is None:
        levels = getattr(denoiser, "down_blocks", None)
        if not levels:
            raise UserError("This denoiser has neither a mid block nor down blocks to look into.")
        return f"down_blocks.{len(levels) - 1}"
    attentions = getattr(block, "attentions", None) or []
    found = [i for i, attention in enumerate(attentions) if attention is not None]
    return f"mid_block.attentions.{found[-1]}" if found else "mid_block"


@contextmanager
def output_of(denoiser: nn.Module, name: str) -> Iterator[list[torch.Tensor]]:
    """While this is open, the list holds the latest output of a module, [N, C, ...]."""
    latest: list[torch.Tensor] = []

    def keep(module: nn.Module, args: Any, out: Any) -> None:
        latest[:] = [_first_tensor(out).detach()]

    handle = denoiser.get_submodule(name).register_forward_hook(keep)
    try:
        yield latest
    finally:
        handle.remove()


@contextmanager
def input_of(denoiser: nn.Module) -> Iterator[list[torch.Tensor]]:
    """While this is open, the list holds the latest sample that the denoiser was given."""
    latest: list[torch.Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        latest[:] = [(kwargs["sample"] if "sample" in kwargs else args[0]).detach()]

    handle = denoiser.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield latest
    finally:
        handle.remove()


def _first_tensor(out: Any) -> torch.Tensor:
    """The feature map in what a module returned; sequences [N, L, C] with channels first."""
    while not torch.is_tensor(out):
        out = out[0]
    return out.transpose(1, 2) if out.ndim == 3 else out
