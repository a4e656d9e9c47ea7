"""Quantized models that the tests of exported files share."""

from __future__ import annotations

import pytest

PLANS = {
    "int8": ("W8A8", {"weight_symmetric": True, "input_bits": 16, "split": True}),
    "narrow": ("W4A6", {"split": True, "softmax_bits": 16}),
    "weights only": ("W3A32", {"split": True}),
}


@pytest.fixture(scope="session")
def quantized(ddpm, ddpm_capture):
    """The tiny DDPM under one of `PLANS`; each made once."""
    import analysis

    made = {}

    def make(name: str):
        if name not in made:
            plan, options = PLANS[name]
            calibration = None if plan.endswith("A32") else ddpm_capture
            made[name] = analysis.quantize(ddpm, plan=plan, calibration=calibration, **options)
        return made[name]

    return make


@pytest.fixture(scope="session")
def graph(quantized):
    """The exported graph of a plan; each made once."""
    pytest.importorskip("onnx")
    from analysis.export.qdq_graph import qdq_graph

    made = {}

    def make(name: str):
        if name not in made:
            made[name] = qdq_graph(quantized(name).handle)
        return made[name]

    return make
