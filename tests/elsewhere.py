"""A device that is not the processor, where there is none: torch's meta device, made stricter.

Tensors there have shapes and no values: what would wait for a device to bring one to the host, or
would decide by one, raises. `OneDevice` also refuses tensors of two devices in one operation,
which meta kernels of products would let pass.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
CARRIES = ("_to_copy", "copy_")  # from one device to another, which is their purpose


class OneDevice(TorchDispatchMode):
    """Refuses tensors of different devices; a number [] of the host may go anywhere."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        devices = {x.device.type for x in tensors if x.ndim or x.device == META}
        if len(devices) > 1 and name not in CARRIES:
            raise RuntimeError(f"{name} was given tensors on {' and '.join(sorted(devices))}")
        if name.startswith("_fake_quantize") or name.startswith("fake_quantize"):
            return self.rounded(func, tensors[0])  # torch has no meta kernel of these
        return func(*args, **kwargs)

    @staticmethod
    def rounded(func, x):
        outputs = len(func._schema.returns)
        empty = torch.empty_like(x)
        return empty if outputs == 1 else (empty, torch.empty_like(x, dtype=torch.bool))


def elsewhere(module: nn.Module) -> nn.Module:
    """A copy of a module on the meta device."""
    return copy.deepcopy(module).to(META)
