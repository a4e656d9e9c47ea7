"""The one owner of observation hooks: shows every tapped tensor to an observer, then goes.

Layers have their `forward` wrapped, which costs them a fifth of what a hook of torch's does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from analysis.capture.softmax import Scores, softmax_chunks
from analysis.records import LayerRef, Shortcut

Part = slice | None  # channels of the tensor that are meant; None for all
Seers = tuple[tuple[LayerRef, Part], ...]  # who sees a tensor: a layer's input, and its halves
Observe = Callable[[Seers, torch.Tensor | Scores], None]


@contextmanager
def observed(
    denoiser: nn.Module,
    layers: Iterable[LayerRef],
    shortcuts: Iterable[Shortcut],
    observe: Observe,
    on_timestep: Callable[[float], None],
) -> Iterator[None]:
    """While this is open, `observe(seers, tensor)` is called for every tapped tensor.

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
        for seers in reversed(_seers(layers, seams)):  # what is wrapped last looks first
            for wrapped in _attach(modules, seers, observe):
                stack.enter_context(wrapped)
        yield


def _seers(layers: Iterable[LayerRef], seams: Mapping[str, int]) -> list[Seers]:
    """Layers with their parts, those together that are shown the same tensor."""
    found: dict[tuple[str, str], Seers] = {}
    for layer in layers:
        seam = seams.get(layer.module, 0)
        part = {"h": slice(0, seam), "skip": slice(seam, None)}.get(layer.tap)
        key = (layer.module, layer.tap if part is None else "input")
        found[key] = (*found.get(key, ()), (layer, part))
    return list(found.values())


Look = Callable[[torch.Tensor], object]
Wrapped = AbstractContextManager[None]


@contextmanager
def _wrapped(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """While this is open, the module computes with another `forward`."""
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _before(module: nn.Module, look: Look) -> Wrapped:
    """Look at what the module is given."""
    forward = module.forward

    def looking(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        look(x)
        return forward(x, *args, **kwargs)

    return _wrapped(module, looking)


def _after(module: nn.Module, look: Look) -> Wrapped:
    """Look at what the module gives."""
    forward = module.forward

    def looking(*args: Any, **kwargs: Any) -> Any:
        out = forward(*args, **kwargs)
        look(out)
        return out

    return _wrapped(module, looking)


def _timestep(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    t = kwargs["timestep"] if "timestep" in kwargs else args[1]
    return float(t.reshape(-1)[0]) if torch.is_tensor(t) else float(t)


def _attach(modules: dict[str, Any], seers: Seers, observe: Observe) -> Iterator[Wrapped]:
    """One after the other: each wraps what the one before has made."""
    (layer, _), *_ = seers
    look = partial(observe, seers)
    if layer.tap in ("q", "k", "v"):
        yield _after(modules[f"{layer.module}.to_{layer.tap}"], look)
    elif layer.tap == "softmax":
        yield from _attach_softmax(modules, layer, look)
    else:
        yield _before(modules[layer.module], look)


def _attach_softmax(
    modules: dict[str, Any], layer: LayerRef, look: Callable[[torch.Tensor | Scores], None]
) -> Iterator[Wrapped]:
    """Quantized attention shows its softmax; fused attention has to be worked out beside it."""
    own = modules.get(f"{layer.module}.processor.softmax")
    if own is not None:
        yield _before(own, look)
        return
    attention = modules[layer.module]
    seen: dict[str, torch.Tensor] = {}

    def keep(tap: str, out: torch.Tensor) -> None:
        seen[tap] = out
        if len(seen) == 2:
            for scores in softmax_chunks(attention, seen["q"], seen["k"]):
                look(scores)
            seen.clear()

    for tap in "qk":
        yield _after(modules[f"{layer.module}.to_{tap}"], partial(keep, tap))
