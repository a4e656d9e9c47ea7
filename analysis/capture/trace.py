"""The one owner of observation hooks: shows every tapped tensor to an observer, then goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from analysis.capture.softmax import Scores, softmax_chunks
from analysis.records import LayerRef, Shortcut

Part = slice | None  # channels of the tensor that are meant; None for all
Observe = Callable[[LayerRef, torch.Tensor | Scores, Part], None]


@contextmanager
def observed(
    denoiser: nn.Module,
    layers: Iterable[LayerRef],
    shortcuts: Iterable[Shortcut],
    observe: Observe,
    on_timestep: Callable[[float], None],
) -> Iterator[None]:
    """While this is open, `observe(layer, tensor, part)` is called for every tapped tensor.

    The softmax of fused attention is no tensor yet: it comes as `Scores`.
    `on_timestep` hears the timestep of each forward pass, taken from the denoiser's own
    argument. Nothing the model computes is changed, and no hook outlives the block.
    """
    modules = dict(denoiser.named_modules())
    seams = {shortcut.layer: shortcut.channels_h for shortcut in shortcuts}
    with ExitStack() as stack:
        clock = denoiser.register_forward_pre_hook(
            lambda _, args, kwargs: on_timestep(_timestep(args, kwargs)), with_kwargs=True
        )
        stack.callback(clock.remove)
        for layer in layers:
            for handle in _attach(modules, layer, seams.get(layer.module, 0), observe):
                stack.callback(handle.remove)
        yield


def _timestep(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    t = kwargs["timestep"] if "timestep" in kwargs else args[1]
    return float(t.reshape(-1)[0]) if torch.is_tensor(t) else float(t)


def _attach(modules: dict[str, Any], layer: LayerRef, seam: int, observe: Observe) -> list[Any]:
    if layer.tap in ("q", "k", "v"):
        projection = modules[f"{layer.module}.to_{layer.tap}"]
        return [projection.register_forward_hook(lambda m, args, out: observe(layer, out, None))]
    if layer.tap == "softmax":
        return _attach_softmax(modules, layer, observe)
    module = modules[layer.module]
    part = {"h": slice(0, seam), "skip": slice(seam, None)}.get(layer.tap)
    return [module.register_forward_pre_hook(lambda m, args: observe(layer, args[0], part))]


def _attach_softmax(modules: dict[str, Any], layer: LayerRef, observe: Observe) -> list[Any]:
    """Quantized attention shows its softmax; fused attention has to be worked out beside it."""
    own = modules.get(f"{layer.module}.processor.softmax")
    if own is not None:
        return [own.register_forward_pre_hook(lambda m, args: observe(layer, args[0], None))]
    attention = modules[layer.module]
    seen: dict[str, torch.Tensor] = {}

    def keep(tap: str, module: nn.Module, args: Any, out: torch.Tensor) -> None:
        seen[tap] = out
        if len(seen) == 2:
            for scores in softmax_chunks(attention, seen["q"], seen["k"]):
                observe(layer, scores, None)
            seen.clear()

    return [modules[f"{layer.module}.to_{t}"].register_forward_hook(partial(keep, t)) for t in "qk"]
