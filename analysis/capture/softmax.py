"""The softmax that fused attention does not show, worked out beside it from queries and keys."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import torch

from analysis.capture.native import CAttention, CTeam, CView, crew, kernel

MOST_SCORES = 2**20  # attention scores looked at in one go, a sample
SMALL = 2**14  # values of one head's keys that stay at hand; more are torch's to multiply


class Scores:
    """Attention probabilities [N, heads, L, S], which nobody works out unless they are looked at.

    They are softmax(scale * q k^T) of q [N, heads, L, D] and k [N, heads, S, D].
    """

    __slots__ = ("k", "q", "scale", "shape")

    def __init__(self, q: torch.Tensor, k: torch.Tensor, scale: float) -> None:
        self.q, self.k, self.scale = q, k, scale
        self.shape = (*q.shape[:3], k.shape[2])

    @property
    def small(self) -> bool:
        """Whether the compiled kernel takes them, if there is one."""
        return self.k.shape[2] * self.k.shape[3] <= SMALL and _plain(self.q) and _plain(self.k)

    def tensor(self) -> torch.Tensor:
        """All of them."""
        library = kernel()
        if library is None or not self.small:
            return torch.matmul(self.q * self.scale, self.k.transpose(2, 3)).softmax(dim=-1)
        samples, heads, rows, length = self.shape
        parallel, number, threads = crew()
        task = self.native()
        span = library.room_of(ctypes.byref(task))
        out, room = self.q.new_empty(self.shape), self.q.new_empty(threads, span)
        team = CTeam(parallel, number, threads, room=room.data_ptr(), span=span)
        view = CView(samples, heads, rows * length, attention=ctypes.addressof(task))
        library.attend(ctypes.byref(view), out.data_ptr(), ctypes.byref(team))
        return out

    def native(self) -> CAttention:
        """As the kernels take them."""
        _, heads, rows, length = self.shape
        strides = (*self.q.stride()[:3], *self.k.stride()[:3])
        sizes = (heads, rows, length, self.q.shape[3])
        return CAttention(self.q.data_ptr(), self.k.data_ptr(), *sizes, *strides, self.scale)


def softmax_chunks(attention: Any, q: torch.Tensor, k: torch.Tensor) -> Iterator[Scores]:
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
        yield Scores(part, k, attention.scale)


def _plain(x: torch.Tensor) -> bool:
    return x.is_cpu and x.dtype is torch.float32 and x.stride(-1) == 1
