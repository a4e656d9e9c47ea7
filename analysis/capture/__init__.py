"""Per-layer, per-timestep statistics of activations, gathered while a model samples.

The package can be called: `analysis.capture(model)` is `analysis.capture.run.capture(model)`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """Lets the package carry the name of its main function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from analysis.capture.run import capture

        return capture(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
