"""Which elements QDrop leaves in float (Wei et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

SIDES = 256  # of the die that is thrown for every element


def chosen(like: Tensor, share: float) -> Tensor:
    """Ones with probability `share` (to the nearest 1 / 256), else zeros; in shape and type `like`.

    Drawn from torch's global generator, eight elements a number: on a CPU, drawing a number for
    each would take longer than the convolution that follows.
    """
    numbers = torch.empty(-(-like.numel() // 8), dtype=torch.int64, device=like.device)
    dice = numbers.random_(-(2**63), None).view(torch.uint8)[: like.numel()]
    mask = torch.empty_like(like)  # in the layout of `like`, which must be dense
    flat = mask.as_strided((like.numel(),), (1,))
    torch.le(dice, max(round(share * SIDES), 1) - 1, out=flat)
    return mask
