"""One forward pass that holds the float and the quantized model side by side.

The batch has 2 M rows: M of the quantized model so far, then the same M of the float model. All
that lies between the units works row by row, so that only the units have to part the two. Nothing
is run twice, and no unit's inputs are fetched by running the model up to it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from analysis.quant.learn import Cache
from analysis.quant.watch import outputs

LARGE = 2**28  # bytes; above this a tensor is cached on disk
Learner = Callable[[str, nn.Module, nn.Module, "Calls"], None]


class Calls:
    """The arguments of one call of a unit, parted into the two models' rows."""

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], rows: int) -> None:
        whole = (args, dict(kwargs))
        self.rows = rows
        self.quantized = _cut(whole, 2 * rows, slice(0, rows))
        self.floating = _cut(whole, 2 * rows, slice(rows, 2 * rows))

    def run(self, unit: nn.Module, arguments: Any, batch: int) -> Tensor:
        """The unit's output [M, ...], a few rows at a time."""
        parts = [
            _call(unit, _cut(arguments, self.rows, slice(first, first + batch)))
            for first in range(0, self.rows, batch)
        ]
        return torch.cat(parts)


class Pair(nn.Module):
    """A unit of both models. It learns when it is called, and then answers for both."""

    def __init__(
        self,
        name: str,
        floating: nn.Module,
        quantized: nn.Module,
        learner: Learner,
        rows: int,
        batch: int,
    ) -> None:
        super().__init__()
        self.name, self.rows, self.batch = name, rows, batch
        self.floating, self.quantized, self.learner = floating, quantized, learner

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        calls = Calls(args, kwargs, self.rows)
        self.learner(self.name, self.floating, self.quantized, calls)
        halves = (
            calls.run(self.quantized, calls.quantized, self.batch),
            calls.run(self.floating, calls.floating, self.batch),
        )
        return torch.cat(halves)  # [2 M, ...]


def cache(unit: nn.Module, calls: Calls, inner: Sequence[str], batch: int) -> Cache:
    """What a unit learns from, with the float unit's inner layers where they are wanted."""
    found: dict[str, list[Tensor]] = {name: [] for name in inner}
    with outputs(unit, inner, lambda name, out: found[name].append(out)):
        target = calls.run(unit, calls.floating, batch)
    return Cache(
        _map(calls.quantized, stored),
        _map(calls.floating, stored),
        stored(target),
        {name: stored(torch.cat(parts)) for name, parts in found.items()},
    )


def _call(unit: nn.Module, arguments: Any) -> Tensor:
    out = unit(*arguments[0], **arguments[1])
    assert isinstance(out, Tensor)
    return out


def _cut(value: Any, rows: int, part: slice) -> Any:
    """Some rows of every tensor in nested arguments that has `rows` of them."""

    def cut(x: Tensor) -> Tensor:
        return x[part] if x.ndim > 0 and x.shape[0] == rows else x

    return _map(value, cut)


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(_map(x, change) for x in value)
    if isinstance(value, dict):
        return {k: _map(x, change) for k, x in value.items()}
    return value


def stored(x: Tensor) -> Tensor:
    """The tensor as it is, or a large one on the CPU in a file that is mapped into memory."""
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()
    if not x.is_cpu or x.numel() * x.element_size() < LARGE:
        return x
    with tempfile.NamedTemporaryFile() as file:  # its pages live on after its name
        mapped = torch.from_file(file.name, shared=True, size=x.numel(), dtype=x.dtype)
        return mapped.as_strided(x.shape, x.stride()).copy_(x)
