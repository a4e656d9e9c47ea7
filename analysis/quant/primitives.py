"""The four verbs of quantization on tensors: choose_qparams, quantize, dequantize, fake_quantize.

A per-tensor grid has scale and zero point of shape []; a per-channel grid has [C], along the
tensor's first dimension. Rounding is half to even, as everywhere in torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from analysis.errors import UserError
from analysis.quant.grid import qparams_from_range
from analysis.quant.ranges import get_estimator
from analysis.quant.scheme import QuantScheme


def choose_qparams(
    x: Tensor,
    bits: int,
    symmetric: bool = False,
    granularity: str = "per_tensor",
    estimator: str = "minmax",
) -> tuple[Tensor, Tensor]:
    """Scale (float32) and zero point (int32) for a tensor, [] or, per channel, [C].

    >>> choose_qparams(torch.tensor([-1.0, 0.25, 2.0]), bits=2)
    (tensor(1.), tensor(1, dtype=torch.int32))
    >>> choose_qparams(torch.tensor([[0.0, 3.0], [-6.0, 0.0]]), 2, granularity="per_channel")
    (tensor([1., 2.]), tensor([0, 3], dtype=torch.int32))

    Args:
        x: any floating tensor, [C, ...] per channel.
        bits: 2 to 8, or 16.
        symmetric: put the zero point in the middle of the grid.
        granularity: `per_tensor` or `per_channel`.
        estimator: `minmax`, `lp`, `percentile`; `name:setting` sets its number.

    Raises:
        UserError: for an option that does not exist, an empty tensor, NaN or infinite values.
    """
    scheme = QuantScheme(bits, symmetric, granularity, estimator)
    if scheme.is_float:
        raise UserError("32 bits mean float, which has no scale; choose 2 to 8 bits.")
    rows = _rows(x, granularity)  # [1, M] or [C, M]
    lo, hi = get_estimator(estimator).of_rows(rows, bits, symmetric)
    scale, zero_point = tensor_qparams(lo, hi, bits, symmetric)
    return (scale, zero_point) if granularity == "per_channel" else (scale[0], zero_point[0])


def tensor_qparams(
    lo: Tensor, hi: Tensor, bits: int, symmetric: bool = False
) -> tuple[Tensor, Tensor]:
    """`qparams_from_range` for ranges that are tensors, on their device."""
    ends = (lo.detach().cpu().double().numpy(), hi.detach().cpu().double().numpy())
    scale, zero_point = qparams_from_range(*ends, bits, symmetric)
    return torch.from_numpy(scale).to(lo.device), torch.from_numpy(zero_point).to(lo.device)


def quantize(x: Tensor, scale: Tensor, zero_point: Tensor, bits: int) -> Tensor:
    """Levels clamp(round(x / scale) + zero_point, 0, n - 1) as uint8, above 8 bits as int32.

    >>> quantize(torch.tensor([-1.0, 0.4, 9.0]), torch.tensor(1.0), torch.tensor(1), bits=2)
    tensor([0, 1, 3], dtype=torch.uint8)
    """
    s, z = _along(x, scale), _along(x, zero_point)
    levels = (x.float() * s.reciprocal()).round() + z
    return levels.clamp(0, 2**bits - 1).to(torch.uint8 if bits <= 8 else torch.int32)


def dequantize(levels: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Values scale * (level - zero_point), float32.

    >>> dequantize(torch.tensor([0, 1, 3]), torch.tensor(0.5), torch.tensor(1))
    tensor([-0.5000,  0.0000,  1.0000])
    """
    s, z = _along(levels, scale), _along(levels, zero_point)
    return (levels.to(torch.int32) - z).float() * s


def fake_quantize(x: Tensor, scale: Tensor, zero_point: Tensor, bits: int) -> Tensor:
    """Quantize and dequantize: x moved to the nearest level of its grid, in its own dtype.

    Gradients pass inside the range and stop outside (straight-through; Bengio et al. 2013,
    arXiv 1308.3432).

    >>> fake_quantize(torch.tensor([-0.6, 0.2, 9.0]), torch.tensor(0.5), torch.tensor(1), bits=2)
    tensor([-0.5000,  0.0000,  1.0000])
    """
    scale = torch.as_tensor(scale, dtype=torch.float32, device=x.device)
    zero_point = torch.as_tensor(zero_point, dtype=torch.int32, device=x.device)
    _along(x, scale)
    return round_to_grid(x, scale, zero_point, 2**bits - 1)


def round_to_grid(x: Tensor, scale: Tensor, zero_point: Tensor, top: int) -> Tensor:
    """`fake_quantize` without its checks, on levels 0 .. top.

    Torch's fused kernel also keeps a mask for the gradient and is not vectorized on a CPU.
    Where no gradient is wanted, four vectorized passes give the same numbers five times sooner.
    """
    if x.dtype == torch.float32 and not x.requires_grad and x.is_cpu:
        s, z = _along(x, scale), _along(x, zero_point)
        steps = x.mul(s.reciprocal()).round_()
        # Plain numbers are quicker bounds than tensors of shape [], but cut a compiled graph.
        tensors = z.ndim > 0 or torch.compiler.is_compiling()
        steps = steps.clamp_(-z, top - z) if tensors else steps.clamp_(-int(z), top - int(z))
        return steps.mul_(s)
    if scale.ndim == 0:
        return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, top)
    return torch.fake_quantize_per_channel_affine(x, scale, zero_point, 0, 0, top)


def _rows(x: Tensor, granularity: str) -> Tensor:
    """[C, ...] -> [C, M] per channel, anything -> [1, M] per tensor, checked."""
    if x.numel() == 0:
        raise UserError("an empty tensor has no range; give at least one value")
    if not x.is_floating_point():
        raise UserError(f"only floating tensors can be quantized; this one is {x.dtype}")
    if granularity == "per_channel" and x.ndim == 0:
        raise UserError("a single number has no channels; use granularity='per_tensor'")
    x = x.detach().float()
    if not bool(torch.isfinite(x).all()):
        raise UserError("the tensor holds NaN or infinite values; they have no place on a grid")
    return x.reshape(x.shape[0] if granularity == "per_channel" else 1, -1)


def _along(x: Tensor, value: Tensor) -> Tensor:
    """A per-channel [C] value as [C, 1, ...], to meet x along its first dimension."""
    value = torch.as_tensor(value, device=x.device)
    if value.ndim == 0:
        return value
    if value.ndim != 1 or x.ndim == 0 or x.shape[0] != value.shape[0]:
        raise UserError(
            f"scale and zero_point of shape {list(value.shape)} do not fit a tensor of shape "
            f"{list(x.shape)}: they need one number, or one for each of its first dimension."
        )
    return value.view(-1, *[1] * (x.ndim - 1))
