"""What simulated quantization costs on top of the float model."""

from __future__ import annotations

from statistics import median
from typing import Any

BATCH, ROUNDS = 16, 15


def simulation(model: Any = None) -> dict[str, Any]:
    """Milliseconds of one denoiser call, simulated W8A8 over float, in turn.

    Of the bundled model on the CPU, or of one that is given.
    """
    import torch

    import analysis
    from analysis.cost.watch import watch_of

    model = model or analysis.load_model("fashion", "cpu")
    taken = analysis.capture(model, steps=2, samples=2)
    quantized = analysis.quantize(model, plan="W8A8", calibration=taken)
    x = torch.randn(BATCH, *model.sample_shape).to(model.device)
    t, watch = torch.tensor(500, device=model.device), watch_of(model.device)
    rows = []
    with torch.no_grad():
        for _ in range(ROUNDS):
            pair = []
            for denoiser in (model.denoiser, quantized.handle.denoiser):
                started = watch.seconds()  # when the device is done
                denoiser(x, t)
                pair.append((watch.seconds() - started) * 1e3)
            rows.append((*pair, pair[1] / pair[0]))
    float_ms, simulated_ms, ratio = (median(column) for column in zip(*rows[3:], strict=True))
    return {"batch": BATCH, "float_ms": float_ms, "simulated_ms": simulated_ms, "ratio": ratio}
