"""Modules that carry the name of their one function, and can be called by it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(name: str) -> None:
    """Let the module of this name be called: `analysis.sweep(model)` is `sweep.sweep(model)`."""
    sys.modules[name].__class__ = _Callable
