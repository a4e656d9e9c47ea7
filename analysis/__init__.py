"""See why quantizing a diffusion model is hard: capture, quantize, compare.

Names are loaded on first use, so that `import analysis` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from analysis.errors import Cancelled, UserError

if TYPE_CHECKING:
    from analysis import capture, sensitivity, sweep
    from analysis.calibration.record import CalibrationSet
    from analysis.calibration.run import calibrate
    from analysis.calibration.store import load_calibration, save_calibration
    from analysis.capture.store import load_capture, save_capture
    from analysis.comparison import Comparison, compare
    from analysis.cost.estimate import estimate
    from analysis.cost.record import Estimate
    from analysis.models.handle import ModelHandle
    from analysis.models.load import from_pipeline, load_model
    from analysis.quant.model import QuantizedModel
    from analysis.quant.plan import QuantPlan
    from analysis.quant.run import quantize
    from analysis.quant.scheme import QuantScheme
    from analysis.quant.store import load_quantized, save_quantized
    from analysis.records import Capture, LayerRef
    from analysis.shortcuts import shortcut_report

_HOMES = {
    "CalibrationSet": "analysis.calibration.record",
    "calibrate": "analysis.calibration.run",
    "load_calibration": "analysis.calibration.store",
    "save_calibration": "analysis.calibration.store",
    "load_capture": "analysis.capture.store",
    "save_capture": "analysis.capture.store",
    "Comparison": "analysis.comparison",
    "compare": "analysis.comparison",
    "Estimate": "analysis.cost.record",
    "estimate": "analysis.cost.estimate",
    "ModelHandle": "analysis.models.handle",
    "from_pipeline": "analysis.models.load",
    "load_model": "analysis.models.load",
    "QuantizedModel": "analysis.quant.model",
    "QuantPlan": "analysis.quant.plan",
    "quantize": "analysis.quant.run",
    "QuantScheme": "analysis.quant.scheme",
    "load_quantized": "analysis.quant.store",
    "save_quantized": "analysis.quant.store",
    "Capture": "analysis.records",
    "LayerRef": "analysis.records",
    "shortcut_report": "analysis.shortcuts",
}
_MODULES = (
    "calibration",
    "capture",
    "quant",
    "methods",
    "metrics",
    "models",
    "errors",
    "records",
    "sensitivity",
    "sweep",
)

__all__ = [
    "CalibrationSet",
    "Cancelled",
    "Capture",
    "Comparison",
    "Estimate",
    "LayerRef",
    "ModelHandle",
    "QuantPlan",
    "QuantScheme",
    "QuantizedModel",
    "UserError",
    "calibrate",
    "capture",
    "compare",
    "estimate",
    "from_pipeline",
    "load_calibration",
    "load_capture",
    "load_model",
    "load_quantized",
    "quantize",
    "save_calibration",
    "save_capture",
    "save_quantized",
    "sensitivity",
    "shortcut_report",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"analysis.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
