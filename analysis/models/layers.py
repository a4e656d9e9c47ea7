"""A denoiser's quantizable layers in execution order, and its concatenated shortcuts.

Both are read off one small forward pass: a layer is where a convolution or a linear map takes
place, a shortcut is where one of them eats what `torch.cat` has just put together. No table of
module names is kept, so an architecture that was never seen before works as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from analysis.errors import UserError
from analysis.models.inputs import smallest_inputs
from analysis.records import LayerRef, Shortcut

OPERANDS = ("q", "k", "v", "softmax")
_KEEPS_VALUES = (torch.Tensor.contiguous, torch.Tensor.to, torch.Tensor.clone)
# What stands between a concatenation and the first convolution of a residual block.
_KEEPS_CHANNELS = (F.group_norm, torch.group_norm, F.silu, F.mish, F.gelu, F.relu, F.dropout)


@dataclass(frozen=True)
class LayerTrace:
    """What one forward pass shows of a denoiser."""

    layers: tuple[LayerRef, ...]  # in execution order; attention operands behind their to_v
    shortcuts: tuple[Shortcut, ...]
    normed_shortcuts: tuple[Shortcut, ...]  # fed a concatenation behind its normalization
    first_layer: str  # the convolution that takes the noisy sample
    last_layer: str  # the layer that emits the prediction
    never_ran: tuple[str, ...]  # layers that exist but did not take part


def trace_layers(denoiser: nn.Module) -> LayerTrace:
    """Run the denoiser once on its smallest input and note what ran on what."""
    recorder = _Recorder(denoiser)
    training = denoiser.training
    denoiser.eval()
    with torch.no_grad(), recorder:
        denoiser(**smallest_inputs(denoiser))
    denoiser.train(training)
    convs = [name for name in recorder.order if recorder.modules[name].weight.ndim == 4]
    if not convs:
        raise UserError("This model has no convolution: only UNet denoisers are supported.")
    ran = set(recorder.order)
    return LayerTrace(
        layers=tuple(_with_operands(denoiser, recorder)),
        shortcuts=tuple(recorder.shortcuts.values()),
        normed_shortcuts=tuple(recorder.normed_shortcuts.values()),
        first_layer=convs[0],
        last_layer=recorder.order[-1],
        never_ran=tuple(name for name in recorder.modules if name not in ran),
    )


def select_layers(layers: Sequence[LayerRef], pattern: str | None) -> tuple[LayerRef, ...]:
    """Layers whose name matches a glob, or several separated by commas; `None` means all.

    Raises:
        UserError: when a pattern matches nothing.
    """
    if pattern is None:
        return tuple(layers)
    chosen: set[str] = set()
    for glob in pattern.split(","):
        found = {layer.name for layer in layers if fnmatchcase(layer.name, glob.strip())}
        if not found:
            raise UserError(
                f"The layer pattern {glob.strip()!r} matches none of the {len(layers)} layers; "
                f"names look like {layers[len(layers) // 2].name!r} and * stands for anything."
            )
        chosen |= found
    return tuple(layer for layer in layers if layer.name in chosen)


def half_refs(shortcuts: Iterable[Shortcut]) -> list[LayerRef]:
    """The two halves of every concatenated input, as tensors to observe."""
    return [
        LayerRef(f"{shortcut.layer}#{tap}", "half", tap)
        for shortcut in shortcuts
        for tap in ("h", "skip")
    ]


@dataclass(frozen=True, eq=False)
class _Joined:
    """concat(h, skip), or what became of it channel by channel."""

    tensor: torch.Tensor
    channels_h: int
    normed: bool


@dataclass(eq=False)
class _Recorder(TorchFunctionMode):
    """Watches torch functions: which weights are used, on which tensors."""

    denoiser: nn.Module
    order: list[str] = field(default_factory=list)
    shortcuts: dict[str, Shortcut] = field(default_factory=dict)
    normed_shortcuts: dict[str, Shortcut] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self.modules: dict[str, Any] = {
            name: module
            for name, module in self.denoiser.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        }
        self._names = {id(module.weight): name for name, module in self.modules.items()}
        self._seams: dict[int, _Joined] = {}  # by the id of a tensor that is kept alive

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is torch.cat:
            self._note_concat(result, *args, **kwargs)
        elif args and id(args[0]) in self._seams and func in (*_KEEPS_VALUES, *_KEEPS_CHANNELS):
            source = self._seams[id(args[0])]
            normed = source.normed or func in _KEEPS_CHANNELS
            self._seams[id(result)] = _Joined(result, source.channels_h, normed)
        elif len(args) > 1 and id(args[1]) in self._names:
            self._note_layer(self._names[id(args[1])], args[0])
        return result

    def _note_concat(self, result: torch.Tensor, tensors: Any, dim: int = 0) -> None:
        if dim == 1 and len(tensors) == 2 and result.ndim == 4:
            self._seams[id(result)] = _Joined(result, tensors[0].shape[1], normed=False)

    def _note_layer(self, name: str, x: torch.Tensor) -> None:
        if name not in self.order:
            self.order.append(name)
        joined = self._seams.get(id(x))
        if joined is not None:
            found = self.normed_shortcuts if joined.normed else self.shortcuts
            found[name] = Shortcut(name, joined.channels_h, x.shape[1] - joined.channels_h)


def _with_operands(denoiser: nn.Module, recorder: _Recorder) -> Iterable[LayerRef]:
    values = {
        f"{name}.to_v": name
        for name, module in denoiser.named_modules()
        if isinstance(module, Attention) and f"{name}.to_v" in recorder.modules
    }
    for name in recorder.order:
        weight = recorder.modules[name].weight
        yield LayerRef(name, "conv" if weight.ndim == 4 else "linear", shape=tuple(weight.shape))
        if name in values:
            yield from (LayerRef(f"{values[name]}#{tap}", "attention", tap) for tap in OPERANDS)
