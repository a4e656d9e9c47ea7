"""Attention with quantized operands: q k^T and softmax v as explicit products."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0
from torch import Tensor, nn

from analysis.quant.modules import quantizer
from analysis.quant.qparams import QParams

OPERANDS = ("q", "k", "v", "softmax")
MOST_SCORES = 2**24  # attention scores held at once; more query rows wait their turn


class QuantAttnProcessor(nn.Module):
    """Drop-in processor of diffusers' `Attention`, whose four operands pass through submodules.

    `q`, `k`, `v` see [N, heads, L, D] after the query and key norms and before the 1 / sqrt(D);
    `softmax` sees probabilities [N, heads, L, S]. Each is a `FakeQuantize` or the identity.
    With four identities it computes what `AttnProcessor2_0` does.
    """

    def __init__(self, qparams: dict[str, QParams | None], device: torch.device | str) -> None:
        super().__init__()
        for operand in OPERANDS:
            self.add_module(operand, quantizer(qparams.get(operand), device))

    q: nn.Module
    k: nn.Module
    v: nn.Module
    softmax: nn.Module

    # Attention reads the argument names off __call__ to decide what it may pass on.
    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, temb)

    def forward(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        x, context = _normalized(attn, hidden_states, encoder_hidden_states, temb)  # [N, L, C]
        q, k, v = _heads(attn, x, context)  # [N, heads, L or S, D]
        mask = _mask(attn, attention_mask, context)
        x = self._attend(self.q(q), self.k(k), self.v(v), attn.scale, mask)  # [N, heads, L, D]
        x = x.transpose(1, 2).flatten(2)  # [N, L, heads * D]
        x = attn.to_out[1](attn.to_out[0](x))
        if hidden_states.ndim == 4:
            x = x.transpose(1, 2).reshape(hidden_states.shape)  # [N, C, H, W]
        if attn.residual_connection:
            x = x + hidden_states
        return x / attn.rescale_output_factor

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None) -> Tensor:
        """softmax(scale q k^T + mask) v, a bounded number of query rows at a time."""
        rows = max(1, MOST_SCORES // (q.shape[0] * q.shape[1] * k.shape[2]))
        parts = []
        for start in range(0, q.shape[2], rows):
            scores = q[:, :, start : start + rows] @ k.transpose(-1, -2) * scale
            if mask is not None:
                own = mask if mask.shape[2] == 1 else mask[:, :, start : start + rows]
                scores = _masked(scores, own)
            shares = self.softmax(scores.softmax(dim=-1))  # [N, heads, l, S]
            parts.append(shares @ v)  # [N, heads, l, D]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def why_not_attention(attn: Attention) -> str | None:
    """Why this attention must stay as it is; `None` if its operands can be quantized."""
    processor = type(attn.processor)
    if processor not in (AttnProcessor, AttnProcessor2_0, QuantAttnProcessor):
        return f"its processor {processor.__name__} computes another attention"
    if attn.fused_projections:
        return "its projections are fused; call unfuse_qkv_projections() first"
    if attn.inner_kv_dim != attn.inner_dim:
        return "it has fewer key heads than query heads"
    return None


def _normalized(
    attn: Any, x: Tensor, context: Tensor | None, temb: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What queries and what keys and values are made of, [N, L, C] and [N, S, C]."""
    if attn.spatial_norm is not None:
        x = attn.spatial_norm(x, temb)
    if x.ndim == 4:
        x = x.flatten(2).transpose(1, 2)  # [N, C, H, W] -> [N, H * W, C]
    if attn.group_norm is not None:
        x = attn.group_norm(x.transpose(1, 2)).transpose(1, 2)
    if context is None:
        return x, x
    return x, attn.norm_encoder_hidden_states(context) if attn.norm_cross else context


def _heads(attn: Any, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values [N, heads, L or S, D]."""
    projected = (attn.to_q(x), attn.to_k(context), attn.to_v(context))
    q, k, v = (t.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for t in projected)
    if attn.norm_q is not None:
        q = attn.norm_q(q)
    if attn.norm_k is not None:
        k = attn.norm_k(k)
    return q, k, v


def _mask(attn: Any, mask: Tensor | None, context: Tensor) -> Tensor | None:
    """The mask as [N, heads, 1 or L, S]."""
    if mask is None:
        return None
    batch, length = context.shape[:2]
    prepared = attn.prepare_attention_mask(mask, length, batch)  # [N * heads, 1 or L, S]
    return prepared.view(batch, attn.heads, -1, prepared.shape[-1])


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -torch.inf)
    return scores + mask
