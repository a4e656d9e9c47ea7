"""A loaded model: the pipeline, its denoiser, and what is known of its layers."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

from analysis.models.layers import LayerTrace, trace_layers
from analysis.records import LayerRef, Shortcut


@dataclass(frozen=True)
class ModelHandle:
    """A diffusers pipeline with a UNet, ready to be sampled, observed and quantized."""

    name: str
    pipeline: DiffusionPipeline

    @property
    def denoiser(self) -> nn.Module:
        return self.pipeline.unet

    @property
    def device(self) -> torch.device:
        return next(self.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.denoiser.parameters()).dtype

    @property
    def conditional(self) -> bool:
        """Whether the denoiser takes a prompt."""
        return bool(self.denoiser.config.get("cross_attention_dim"))  # type: ignore[union-attr, operator]

    @property
    def sample_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one noisy sample."""
        config: Any = self.denoiser.config
        size = config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return int(config.in_channels), int(height), int(width)

    @cached_property
    def trace(self) -> LayerTrace:
        return trace_layers(self.denoiser)

    @property
    def layers(self) -> tuple[LayerRef, ...]:
        """Quantizable tensors in execution order: layer inputs and attention operands."""
        return self.trace.layers

    @property
    def shortcuts(self) -> tuple[Shortcut, ...]:
        return self.trace.shortcuts

    @property
    def normed_shortcuts(self) -> tuple[Shortcut, ...]:
        """Layers fed a concatenation behind its normalization: channels keep their order."""
        return self.trace.normed_shortcuts

    @property
    def first_layer(self) -> str:
        return self.trace.first_layer

    @property
    def last_layer(self) -> str:
        return self.trace.last_layer

    @cached_property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.denoiser.parameters())

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the denoiser's configuration and weights."""
        config: Any = self.denoiser.config
        public = {k: v for k, v in sorted(config.items()) if not k.startswith("_")}
        sha = hashlib.sha256(json.dumps(public, default=str).encode())
        for name, tensor in sorted(self.denoiser.state_dict().items()):
            sha.update(name.encode())
            raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            sha.update(memoryview(raw.numpy()))
        return sha.hexdigest()

    def with_denoiser(self, denoiser: nn.Module) -> ModelHandle:
        """The same pipeline around another denoiser; this handle stays as it is."""
        pipeline = copy.copy(self.pipeline)
        pipeline.unet = denoiser
        handle = ModelHandle(self.name, pipeline)
        # Layer names and shortcuts survive a conversion, a traced conversion need not.
        handle.__dict__["trace"] = self.trace
        return handle

    def with_normed_halves(self) -> ModelHandle:
        """The same model, observed at the halves of normalized concatenations as well."""
        handle = copy.copy(self)
        both = (*self.shortcuts, *self.normed_shortcuts)
        handle.__dict__["trace"] = replace(self.trace, shortcuts=both, normed_shortcuts=())
        return handle
