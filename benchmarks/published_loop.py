"""AdaRound block reconstruction as it is published, step for step: what ours is timed against.

Q-Diffusion and BRECQ release the same loop: every layer quantizes its weight anew in each forward
pass with autograd through every operation, the regularizer is summed by autograd, the cached
inputs stay where they are and are permuted anew for every batch. Written from its description
(Li et al. 2021, algorithm 1; Nagel et al. 2020, section 3.3).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

ZETA, GAMMA = 1.1, -0.1


class _Layer(nn.Module):
    """A convolution or linear map that quantizes its weight whenever it is called."""

    def __init__(self, layer: nn.Module, scale: Tensor, zero_point: Tensor, levels: int) -> None:
        super().__init__()
        self.layer, self.levels = layer, levels
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point.float())
        rest = layer.weight / scale - torch.floor(layer.weight / scale)
        self.alpha = nn.Parameter(-torch.log((ZETA - GAMMA) / (rest - GAMMA) - 1))
        self.soft = True

    def targets(self) -> Tensor:
        return torch.clamp(torch.sigmoid(self.alpha) * (ZETA - GAMMA) + GAMMA, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        down = torch.floor(self.layer.weight / self.scale)
        up = self.targets() if self.soft else (self.alpha >= 0).float()
        levels = torch.clamp(down + up + self.zero_point, 0, self.levels - 1)
        weight = (levels - self.zero_point) * self.scale
        if isinstance(self.layer, nn.Conv2d):
            return self.layer._conv_forward(x, weight, self.layer.bias)
        return nn.functional.linear(x, weight, self.layer.bias)


def published_loop(
    block: nn.Module,
    grids: dict[str, tuple[Tensor, Tensor]],
    bits: int,
    inputs: tuple[Tensor, ...],
    target: Tensor,
    iterations: int,
    batch: int,
    rate: float,
    weight: float = 0.01,
) -> nn.Module:
    """The block after the published loop, its weights rounded.

    Args:
        grids: layer name -> scale and zero point, broadcastable to its weight.
        inputs: of all rows, [N, ...] each.
    """
    block = copy.deepcopy(block).requires_grad_(False)
    layers = {n: _Layer(block.get_submodule(n), *g, 2**bits) for n, g in grids.items()}
    for name, layer in layers.items():
        parent, _, key = name.rpartition(".")
        setattr(block.get_submodule(parent), key, layer)
    optimizer = torch.optim.Adam([layer.alpha for layer in layers.values()], lr=rate)
    for iteration in range(iterations):
        rows = torch.randperm(len(target))[:batch]
        optimizer.zero_grad()
        out = block(*(x[rows] for x in inputs))
        loss = (out - target[rows]).abs().pow(2.0).sum(1).mean()
        if iteration >= 0.2 * iterations:
            beta = 20 + (2 - 20) * (iteration - 0.2 * iterations) / (0.8 * iterations)
            for layer in layers.values():
                h = layer.targets()
                loss = loss + weight * (1 - ((h - 0.5).abs() * 2).pow(beta)).sum()
        loss.backward()
        optimizer.step()
    for layer in layers.values():
        layer.soft = False
    return block
