"""What an iteration of block reconstruction costs, ours against the published loop."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

BLOCK, SIZE, ROWS = "up_blocks.1.resnets.0", 8, 128
BATCH, ITERATIONS, ROUNDS, BITS, RATE = 32, 100, 5, 4, 1e-2


def reconstruction() -> dict[str, Any]:
    """Seconds per 1,000 iterations of one residual block, and the error both end at, in turn.

    Same block, rows, batch, rate and number of iterations; the final loss is the mean squared
    error on all rows with the weights rounded.
    """
    import torch

    import analysis
    from analysis.quant.assemble import assemble
    from analysis.quant.estimate import estimate_qparams
    from analysis.quant.learn import Cache, learn
    from analysis.quant.learnable import learnable, settle
    from analysis.quant.modules import QuantLayer
    from analysis.quant.phase import Phase
    from analysis.quant.plan import QuantPlan
    from benchmarks.published_loop import published_loop

    model = analysis.load_model("fashion")
    grids, _ = estimate_qparams(model, QuantPlan.parse(f"W{BITS}A32"), {})
    quantized = assemble(model, grids).denoiser.get_submodule(BLOCK)
    block = model.denoiser.get_submodule(BLOCK)
    layers = {n: m for n, m in quantized.named_modules() if isinstance(m, QuantLayer)}
    torch.manual_seed(0)
    inputs = torch.randn(ROWS, layers["conv1"].in_channels, SIZE, SIZE), torch.randn(ROWS, 128)
    with torch.no_grad():
        target = block(*inputs)
    cache = Cache((inputs, {}), (inputs, {}), target, {})
    phase = Phase(name="weights", iterations=ITERATIONS, batch=BATCH, weight_lr=RATE)

    def ours() -> Any:
        weights = {n: block.get_submodule(n).weight for n in layers}
        twin = learnable(quantized, weights, learn_scales=False)
        learn(twin, cache, phase, lambda *_: None)
        settle(quantized, twin)
        return quantized

    def published() -> Any:
        meet = {n: m.weight_grid() for n, m in layers.items()}
        return published_loop(block, meet, BITS, inputs, target, ITERATIONS, BATCH, RATE)

    seconds: dict[str, list[float]] = {"ours": [], "published": []}
    losses: dict[str, float] = {}
    for _ in range(ROUNDS + 1):
        for name, loop in (("ours", ours), ("published", published)):
            started = time.perf_counter()
            learned = loop()
            seconds[name].append(time.perf_counter() - started)
            with torch.no_grad():
                losses[name] = float((learned(*inputs) - target).square().sum(1).mean())
    mine, theirs = (seconds[name][1:] for name in ("ours", "published"))  # the first warms up
    return {
        "block": BLOCK,
        "batch": BATCH,
        "seconds_per_1000": median(mine) * 1000 / ITERATIONS,
        "published_seconds_per_1000": median(theirs) * 1000 / ITERATIONS,
        "speedup": median(b / a for a, b in zip(mine, theirs, strict=True)),
        "loss": losses["ours"],
        "published_loss": losses["published"],
    }
