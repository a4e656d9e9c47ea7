"""A device that is not the processor, where there is none.

`Remote` tensors say that they lie on torch's meta device and carry their values along. While one
is on a `Device`, what is made there or brought there is remote, an operation on tensors of both
places raises, as it does on a GPU, and what makes the processor wait for the device is counted.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

META, HOST = torch.device("meta"), torch.device("cpu")
CARRIES = ("_to_copy", "copy_")  # from one device to another, which is their purpose
INDEXES = ("index", "index_put_", "_index_put_impl_")  # a GPU takes the host's indices
WAITS = ("_local_scalar_dense", "nonzero", "equal", "masked_select")  # they need values


class Remote(torch.Tensor):
    """A tensor elsewhere; `here` holds its values."""

    here: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

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

    def __repr__(self, **_: Any) -> str:
        return f"Remote({self.here})"


class Device(contextlib.ExitStack):
    """Enter it to have the device; `waits` counts what the processor waited for, by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __enter__(self) -> Device:
        super().__enter__()
        self.enter_context(_Made())
        self.enter_context(_Operations(self.waits))
        return self


class _Operations(TorchDispatchMode):
    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        device = kwargs.get("device")
        leaves = any(isinstance(x, Remote) for x in tree_leaves((args, kwargs)))
        if leaves and (name in WAITS or (device is not None and torch.device(device) == HOST)):
            self.waits[name] += 1
        return computed(func, args, kwargs)


class _Made(TorchFunctionMode):
    """torch.tensor and torch.as_tensor make their tensors where no operation is seen."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        made = func in (torch.tensor, torch.as_tensor) and device is not None
        if made and torch.device(device) == META:
            if isinstance(args[0], Remote):
                return args[0].to(kwargs.get("dtype") or args[0].dtype)
            learned = kwargs.pop("requires_grad", False)
            return Remote(func(*args, **kwargs | {"device": HOST})).requires_grad_(learned)
        return func(*args, **kwargs)


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
        there = torch.device(kwargs["device"]) == META
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

    return from_pipeline(copy.deepcopy(model.pipeline).to(META), model.name)
