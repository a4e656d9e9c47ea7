"""Outputs of layers within a unit, for as long as a `with` lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def outputs(
    unit: nn.Module, names: Iterable[str], keep: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Call `keep(name, output)` whenever a named layer has run; hooks are gone afterwards."""

    def hook(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, args, out: keep(name, out)

    hooks = [unit.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()
