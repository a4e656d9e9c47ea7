"""One job of one peer, in a process of its own: `python -m benchmarks.peers.start`.

What must happen before anything else is imported happens here.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import Any

# What torchvision 0.28 refers to while it is imported.
OPERATORS = (
    *("nms", "qnms", "roi_align", "qroi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"),
    *("_roi_align_backward", "_roi_pool_backward", "_ps_roi_align_backward"),
    *("_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward"),
)
KEPT: list[Any] = []  # a library's operators go when the library does


def declare_operators() -> bool:
    """Let torchvision be imported where its wheel is built for CUDA and torch is not.

    Such a wheel cannot load its operators, and the import ends in an error. No UNet here has any
    of them; declared, without kernels, they are only referred to. Returns whether it was needed.
    """
    with suppress(ImportError):  # nothing to do where it is not installed
        try:
            importlib.import_module("torchvision")
        except RuntimeError:
            import torch

            KEPT.append(torch.library.Library("torchvision", "FRAGMENT"))
            for name in OPERATORS:
                with suppress(RuntimeError):  # those that the first try has left
                    KEPT[0].define(f"{name}(Tensor x) -> Tensor")
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
            return True
    return False


if __name__ == "__main__":
    declare_operators()
    from benchmarks.peers.worker import main

    main()
