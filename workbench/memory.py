"""How much memory a visitor's results take, and giving back what nobody needs any more."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

_LEFT_ALONE = (type, str, bytes, FunctionType, BuiltinFunctionType, MethodType, ModuleType)
MOST_LOOKED_AT = 200_000  # objects, so that a strange one cannot keep the page busy


def held(values: Iterable[Any], shared: Iterable[Any] = ()) -> int:
    """Bytes of all arrays, tensors, texts and models that can be reached from some values.

    Each is counted once; what can be reached from `shared` objects is left out.
    """
    seen = {id(value) for value in shared}
    left, total, looked = list(values), 0, 0
    while left and looked < MOST_LOOKED_AT:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        looked += 1
        total += _own(value, seen)
        left.extend(_parts(value))
    return total


def _own(value: Any, seen: set[int]) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes if value.base is None else 0
    if isinstance(value, bytes | bytearray | str):
        return len(value)
    if _is_torchs(value, "Tensor"):
        storage = value.untyped_storage()
        key = storage.data_ptr()
        if key in seen:
            return 0
        seen.add(key)
        return storage.nbytes()
    return 0


def _parts(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        return [] if value.base is None else [value.base]
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if _is_torchs(value, "nn", "Module"):
        return [*value.parameters(), *value.buffers()]
    if isinstance(value, _LEFT_ALONE):
        return []
    return list(getattr(value, "__dict__", {}).values())


def _is_torchs(value: Any, *names: str) -> bool:
    """Whether a value is of a class of torch's: of none while another thread is loading torch."""
    found: Any = sys.modules.get("torch")
    for name in names:
        found = getattr(found, name, None)
    return found is not None and isinstance(value, found)


def give_back() -> None:
    """Return what is free to the operating system: cycles first, then the allocator's own store."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library has no such function
        return
