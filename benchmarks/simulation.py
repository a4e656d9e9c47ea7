"""What simulated quantization costs on top of the float model."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

BATCH, ROUNDS = 16, 15


def simulation() -> dict[str, Any]:
    """Milliseconds of one denoiser call, simulated W8A8 over float, in turn."""
    import torch

    import analysis
    from analysis.capture.store import BUNDLED_CAPTURE, load_capture

    model = analysis.load_model("fashion")
    quantized = analysis.quantize(model, plan="W8A8", calibration=load_capture(BUNDLED_CAPTURE))
    x, t = torch.randn(BATCH, *model.sample_shape), torch.tensor(500)
    rows = []
    with torch.no_grad():
        for _ in range(ROUNDS):
            pair = []
            for denoiser in (model.denoiser, quantized.handle.denoiser):
                started = time.perf_counter()
                denoiser(x, t)
                pair.append((time.perf_counter() - started) * 1e3)
            rows.append((*pair, pair[1] / pair[0]))
    float_ms, simulated_ms, ratio = (median(column) for column in zip(*rows[3:], strict=True))
    return {"batch": BATCH, "float_ms": float_ms, "simulated_ms": simulated_ms, "ratio": ratio}
