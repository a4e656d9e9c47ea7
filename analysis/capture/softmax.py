"""The softmax that fused attention does not show, worked out beside it from queries and keys."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import torch

from analysis.capture.native import CAttention, CCrew, crew, kernel

MOST_SCORES = 2**20  # attention scores looked at in one go, a sample
SMALL = 2**14  # values of one head's keys that stay at hand; more are torch's to multiply
_WIDE, _ROWS = 16, 4  # of softmax.c


def softmax_chunks(attention: Any, q: torch.Tensor, k: torch.Tensor) -> Iterator[torch.Tensor]:
    """Attention probabilities [N, heads, l, S], a bounded number of query rows l at a time."""
    heads, length = attention.heads, k.shape[1]
    q = q.unflatten(-1, (heads, -1)).transpose(1, 2)  # [N, heads, L, D]
    k = k.unflatten(-1, (heads, -1)).transpose(1, 2)  # [N, heads, S, D]
    if attention.norm_q is not None:
        q = attention.norm_q(q)
    if attention.norm_k is not None:
        k = attention.norm_k(k)
    rows = max(1, MOST_SCORES // (heads * length))
    # Parts of equal size: as many values are drawn from each.
    for part in q.tensor_split(-(-q.shape[2] // rows), dim=2):
        yield probabilities(part, k, attention.scale)


def probabilities(q: torch.Tensor, k: torch.Tensor, scale: float) -> torch.Tensor:
    """softmax(scale * q k^T) [N, heads, L, S] of q [N, heads, L, D] and k [N, heads, S, D]."""
    library = kernel()
    if library is None or k[0, 0].numel() > SMALL or not (_plain(q) and _plain(k)):
        return torch.matmul(q * scale, k.transpose(2, 3)).softmax(dim=-1)
    (samples, heads, rows, depth), length = q.shape, k.shape[2]
    parallel, number, threads = crew()
    padded = -(-length // _WIDE) * _WIDE
    out = q.new_empty(samples, heads, rows, length)
    room = q.new_empty(threads, depth + 1 + _ROWS, padded)
    task = CAttention(
        *(q.data_ptr(), k.data_ptr(), out.data_ptr(), room.data_ptr()),
        *(samples, heads, rows, length, depth),
        *q.stride()[:3],
        *k.stride()[:3],
        scale,
    )
    library.attend(ctypes.byref(task), ctypes.byref(CCrew(parallel, number, threads)))
    return out


def _plain(x: torch.Tensor) -> bool:
    return x.is_cpu and x.dtype is torch.float32 and x.stride(-1) == 1
