"""A denoiser under torch.compile, for sampling; it goes on as it is where that does not work."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from analysis.models.handle import ModelHandle


class CompiledUNet(nn.Module):
    """Answers as the UNet it is given, compiled on the first call.

    `why_not` is empty, or says why the model is run uncompiled after all.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet, self.config = unet, unet.config
        self.why_not = ""
        self._compiled: Any = torch.compile(unet.forward)  # no module: it has no part of its own

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.why_not:
            return self.unet(*args, **kwargs)
        try:
            return self._compiled(*args, **kwargs)
        except Exception as error:  # a compiler fails in as many ways as there are systems
            out = self.unet(*args, **kwargs)  # a fault of the model itself is raised here
            self.why_not = (
                f"torch.compile does not work for this model here ({_first_line(error)}); it is "
                "sampled without."
            )
            return out


def compiled(model: ModelHandle) -> ModelHandle:
    """The same model for sampling alone: its denoiser is compiled on its first pass.

    Hooks inside a compiled model may not be called, so it is neither captured nor quantized.
    """
    return model.with_denoiser(CompiledUNet(model.denoiser).eval())


def why_not_compiled(models: list[ModelHandle]) -> list[str]:
    """Sentences about models that were meant to be compiled and were not."""
    found = (getattr(model.denoiser, "why_not", "") for model in models)
    return [text for text in dict.fromkeys(found) if text]


def _first_line(error: Exception) -> str:
    cause = getattr(error, "inner_exception", error)  # torch wraps what its backends raise
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines or [type(cause).__name__])[0].rstrip(".:")[:200]
