"""Named things of one kind: methods, samplers, metrics, estimators."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from analysis.errors import UserError

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to objects of one kind; an unknown name is a `UserError` that lists the known."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files an object under `name`. A duplicate raises `ValueError`."""
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered twice")

        def add(item: T) -> T:
            self._items[name] = item
            return item

        return add

    def get(self, name: str) -> T:
        """The object filed under `name`, or a `UserError` that lists what there is."""
        if name in self._items:
            return self._items[name]
        close = get_close_matches(str(name), self._items, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        known = ", ".join(self.names())
        raise UserError(f"There is no {self.kind} named {name!r}; choose one of: {known}.{hint}")

    def names(self) -> list[str]:
        """Names in the order of registration."""
        return list(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items


def discover(package: str) -> None:
    """Import every module of a package, so that each file in it registers itself."""
    parent = importlib.import_module(package)
    for module in pkgutil.iter_modules(parent.__path__):
        importlib.import_module(f"{package}.{module.name}")
