"""Quantization: schemes, ranges, simulated layers, plans, prediction and storage.

Names are looked up when they are first asked for, so that `analysis.quant.whatif`, which needs
numpy only, can be imported without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "FakeQuantize": "modules",
    "LayerPlan": "plan",
    "LayerQParams": "qparams",
    "QParams": "qparams",
    "QuantAttnProcessor": "attention",
    "QuantConv2d": "modules",
    "QuantLinear": "modules",
    "QuantPlan": "plan",
    "QuantScheme": "scheme",
    "QuantizedModel": "model",
    "choose_qparams": "primitives",
    "convert": "convert",
    "dequantize": "primitives",
    "fake_quantize": "primitives",
    "load_quantized": "store",
    "predict_sqnr_db": "whatif",
    "qparams_from_range": "grid",
    "quantize": "primitives",
    "save_quantized": "store",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
