"""A GPU where there is none.

`Remote` tensors say that they lie on a CUDA device and carry their values along. While a `Device`
is entered, what is made there or brought there is remote, an operation on tensors of both places
raises, as it would, and what makes the processor wait for the device is counted. To torch's own
dispatch they lie on its meta device. Kernels, and what is peculiar to them, are not imitated.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

CUDA, META, HOST = torch.device("cuda:0"), torch.device("meta"), torch.device("cpu")
CARRIES = ("_to_copy", "copy_")  # from one device to another, which is their purpose
INDEXES = ("index", "index_put_", "_index_put_impl_")  # a GPU takes the host's indices
WAITS = ("_local_scalar_dense", "nonzero", "equal", "masked_select")  # they need values
FREE = 2**36  # bytes, of which nothing is ever taken


class Remote(torch.Tensor):
    """A tensor elsewhere; `here` holds its values."""

    here: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl
    device, is_cuda, is_meta = CUDA, True, False

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> Remote:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=META,
        )

    def __init__(self, here: torch.Tensor) -> None:
        self.here = here

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> Remote:
        if id(self) not in memo:
            made = Remote(self.here.detach().clone())
            learned = self.requires_grad
            is_parameter = isinstance(self, nn.Parameter)
            memo[id(self)] = nn.Parameter(made, learned) if is_parameter else made
        return memo[id(self)]

    def __repr__(self, **_: Any) -> str:
        return f"Remote({self.here})"


class Device(contextlib.ExitStack):
    """Enter it to have the device; `waits` counts what the processor waited for, by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __enter__(self) -> Device:
        super().__enter__()
        for name, answer in self._answers().items():
            self.enter_context(mock.patch.object(torch.cuda, name, answer))
        self.enter_context(_Calls())
        self.enter_context(_Operations(self.waits))
        return self

    def _answers(self) -> dict[str, Any]:
        return {
            "is_available": lambda: True,
            "get_device_name": lambda *_: "an imitation",
            "synchronize": lambda *_: self.waits.update(["synchronize"]),
            "reset_peak_memory_stats": lambda *_: None,
            "memory_allocated": lambda *_: 0,
            "max_memory_allocated": lambda *_: 0,
            "memory_reserved": lambda *_: 0,
            "mem_get_info": lambda *_: (FREE, FREE),
            "empty_cache": lambda: None,
        }


class _Operations(TorchDispatchMode):
    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if _waits(name, args, kwargs):
            self.waits[name] += 1
        return computed(func, args, kwargs)


def _waits(name: str, args: Any, kwargs: Any) -> bool:
    """Whether an operation needs values of the device on the host."""
    remote = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Remote)]
    if name == "copy_":
        return bool(remote) and not isinstance(args[0], Remote)
    if name in INDEXES and any(x.dtype == torch.bool for x in remote[1:]):
        return True  # how many there are
    return bool(remote) and (name in WAITS or kwargs.get("device") == HOST)


class _Calls(TorchFunctionMode):
    """What is called with the device's name; torch would look for the device itself."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        args = [META if _is_ours(value) else value for value in args]
        if _is_ours(kwargs.get("device")):
            kwargs["device"] = META
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == META:
            # They make their tensors where no operation is seen.
            learned = kwargs.pop("requires_grad", False)
            data, more = args[0], kwargs | {"device": HOST}
            made = data.here if isinstance(data, Remote) else data
            return Remote(func(made, *args[1:], **more)).requires_grad_(learned)
        return func(*args, **kwargs)


def _is_ours(value: Any) -> bool:
    return isinstance(value, torch.device) and value.type == CUDA.type


def computed(func: Any, args: Any, kwargs: Any) -> Any:
    """What an operation gives, computed on the values and kept where it belongs."""
    name = func.overloadpacket.__name__
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    remote = [x for x in tensors if isinstance(x, Remote)]
    # A number [] of the host may go anywhere.
    left = [x for x in tensors if x.ndim and not isinstance(x, Remote)]
    indexed = name in INDEXES and isinstance(args[0], Remote)
    if remote and left and name not in CARRIES and not indexed:
        raise RuntimeError(f"{name} was given tensors on the host and on the device")
    there = bool(remote)
    if kwargs.get("device") is not None:
        there = kwargs["device"] == META
        kwargs = kwargs | ({"device": HOST} if there else {})
    elif name == "copy_":
        there = isinstance(args[0], Remote)

    def values(x: Any) -> Any:
        return x.here if isinstance(x, Remote) else x

    out = func(*tree_map(values, args), **tree_map(values, kwargs))
    known = {id(x.here): x for x in remote}  # what an operation has changed in place

    def placed(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        return known[id(x)] if id(x) in known else Remote(x)

    return tree_map(placed, out) if there else out


def elsewhere(model: Any) -> Any:
    """A handle on a copy of a model that lies on the device, which has to be entered."""
    from analysis.models.load import from_pipeline

    with _disable_current_modes():
        pipeline = copy.deepcopy(model.pipeline)
    return from_pipeline(pipeline.to(CUDA), model.name)
