"""What of a UNet its cost depends on, counted on the meta device without computing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Features:
    """Of one pass of one sample."""

    parameters: int
    layers: int  # convolutions and linear maps
    flops: int
    values: int  # in the inputs of all layers
    largest: int  # values of the largest input of a layer

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def features(
    build: Callable[[], Any], extra: Callable[[], dict[str, Any]] | None = None
) -> Features:
    """Count a UNet that `build` makes; `extra` are further arguments of its forward pass."""
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad():
        model = build()
        config, sizes = model.config, []
        layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        for layer in layers:
            layer.register_forward_pre_hook(lambda module, args: sizes.append(args[0].numel()))
        counter = FlopCounterMode(display=False)
        words = torch.zeros(1, 77, config.cross_attention_dim)
        x = torch.zeros(1, config.in_channels, config.sample_size, config.sample_size)
        with counter:
            model(x, torch.tensor(1), encoder_hidden_states=words, **(extra() if extra else {}))
    return Features(
        sum(p.numel() for p in model.parameters()),
        len(layers),
        counter.get_total_flops(),
        sum(sizes),
        max(sizes),
    )


def sdxl_words() -> dict[str, Any]:
    """What SDXL's denoiser is told besides: pooled text, and the size of the picture."""
    import torch

    return {
        "added_cond_kwargs": {
            "text_embeds": torch.zeros(1, 1280),
            "time_ids": torch.zeros(1, 6),
        }
    }
