"""What an iteration of block reconstruction costs, ours against the published loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

BITS, RATE, BATCH, ROWS, ROUNDS = 4, 1e-2, 32, 64, 4
WIDE = "down_blocks.1.resnets.1"  # 256 channels at 16 x 16, where the DDPM spends its time
NARROW = "up_blocks.1.resnets.0"  # 128 to 64 channels at 8 x 8


def reconstruction() -> dict[str, Any]:
    """Seconds per 1,000 iterations of one residual block, and the error both end at, in turn.

    The block is one of the CIFAR-10 DDPM's, which the papers quantize, with random weights; one
    of the narrow bundled model stands beside it. Same block, rows, batch, rate and number of
    iterations for both loops; the loss is the mean squared error on all rows, weights rounded.
    """
    import analysis

    wide = _compared(_ddpm(), WIDE, size=16, iterations=40)
    narrow = _compared(analysis.load_model("fashion"), NARROW, size=8, iterations=100)
    return {
        "block": "CIFAR-10 DDPM, 256 channels at 16 x 16",
        "batch": BATCH,
        **wide,
        **{f"bundled_{name}": value for name, value in narrow.items()},
    }


def _ddpm() -> Any:
    """The UNet of google/ddpm-cifar10-32, weights at random."""
    import torch
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    from analysis.models.load import from_pipeline

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=32,
        block_out_channels=(128, 256, 256, 256),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )
    return from_pipeline(DDPMPipeline(unet.eval(), DDPMScheduler()), "ddpm")


def _compared(model: Any, name: str, size: int, iterations: int) -> dict[str, float]:
    import torch

    from analysis.quant.assemble import assemble
    from analysis.quant.estimate import estimate_qparams
    from analysis.quant.modules import QuantLayer
    from analysis.quant.plan import QuantPlan
    from benchmarks.published_loop import published_loop

    grids, _ = estimate_qparams(model, QuantPlan.parse(f"W{BITS}A32"), {})
    quantized = assemble(model, grids).denoiser.get_submodule(name)
    block = model.denoiser.get_submodule(name)
    layers = {n: m for n, m in quantized.named_modules() if isinstance(m, QuantLayer)}
    torch.manual_seed(0)
    inputs = (
        torch.randn(ROWS, layers["conv1"].in_channels, size, size),
        torch.randn(ROWS, layers["time_emb_proj"].in_features),
    )
    with torch.no_grad():
        target = block(*inputs)
    meet = {n: m.weight_grid() for n, m in layers.items()}
    loops: dict[str, Callable[[], Any]] = {
        "ours": lambda: _ours(block, quantized, list(layers), inputs, target, iterations),
        "published": lambda: published_loop(
            block, meet, BITS, inputs, target, iterations, BATCH, RATE
        ),
    }
    return _timed(loops, inputs, target, iterations)


def _ours(
    block: Any, quantized: Any, layers: list[str], inputs: Any, target: Any, iterations: int
) -> Any:
    from analysis.quant.learn import Cache, learn
    from analysis.quant.learnable import learnable, settle
    from analysis.quant.pairs import stored
    from analysis.quant.phase import Phase

    kept = tuple(stored(x) for x in inputs)
    cache = Cache((kept, {}), (kept, {}), stored(target), {})
    phase = Phase(name="weights", iterations=iterations, batch=BATCH, weight_lr=RATE)
    weights = {n: block.get_submodule(n).weight for n in layers}
    twin = learnable(quantized, weights, learn_scales=False)
    learn(twin, cache, phase, lambda *_: None)
    settle(quantized, twin)
    return quantized


def _timed(
    loops: dict[str, Callable[[], Any]], inputs: Any, target: Any, iterations: int
) -> dict[str, float]:
    """Both loops in turn, several times; the first time warms up."""
    import torch

    seconds: dict[str, list[float]] = {name: [] for name in loops}
    losses: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            started = time.perf_counter()
            learned = loop()
            seconds[name].append(time.perf_counter() - started)
            with torch.no_grad():
                losses[name] = float((learned(*inputs) - target).square().sum(1).mean())
    mine, theirs = (seconds[name][1:] for name in ("ours", "published"))
    return {
        "seconds_per_1000": median(mine) * 1000 / iterations,
        "published_seconds_per_1000": median(theirs) * 1000 / iterations,
        "speedup": median(b / a for a, b in zip(mine, theirs, strict=True)),
        "loss": losses["ours"],
        "published_loss": losses["published"],
    }
