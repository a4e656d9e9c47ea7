"""The smallest inputs that run a denoiser once: for tracing it, not for pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def smallest_inputs(denoiser: nn.Module, batch: int = 1) -> dict[str, Any]:
    """Keyword arguments for one forward pass on the smallest picture the levels allow."""
    config: Any = denoiser.config
    reference = next(denoiser.parameters())
    levels = len(config.block_out_channels)
    size = 2**levels  # the lowest level still holds 2 x 2 positions
    zeros: dict[str, Any] = {"device": reference.device, "dtype": reference.dtype}
    inputs: dict[str, Any] = {
        "sample": torch.zeros(batch, config.in_channels, size, size, **zeros),
        "timestep": torch.tensor(1, device=reference.device),
    }
    if config.get("cross_attention_dim"):
        width = config.cross_attention_dim
        width = width if isinstance(width, int) else width[0]
        width = config.get("encoder_hid_dim") or width
        inputs["encoder_hidden_states"] = torch.zeros(batch, 4, width, **zeros)
    if config.get("addition_embed_type") == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        inputs["added_cond_kwargs"] = {
            "text_embeds": torch.zeros(batch, pooled, **zeros),
            "time_ids": torch.zeros(batch, 6, **zeros),
        }
    if config.get("num_class_embeds"):
        inputs["class_labels"] = torch.zeros(batch, dtype=torch.long, device=reference.device)
    return inputs
