"""What integers are worth: one denoiser call in eager PyTorch and in OpenVINO, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

ROUNDS, WARM = 11, 3
WIDE = (128, 256, 256, 256)  # the CIFAR-10 DDPM of Ho et al. 2020, two blocks a level


def int8() -> dict[str, Any]:
    """Medians over rounds of the ratios of seconds, the wide model at 4 and the bundled at 16."""
    import analysis

    wide = measure(wide_model(WIDE, 32), batch=4)
    bundled = measure(analysis.load_model("fashion"), batch=16)
    named = (("wide", wide), ("bundled", bundled))
    return {f"{name}_{key}": value for name, values in named for key, value in values.items()}


def measure(model: Any, batch: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Milliseconds of every way to compute one step, and how many times eager takes them.

    The integer model is rounded to nearest under the profile int8.
    """
    import torch

    x = torch.randn(batch, *model.sample_shape, generator=torch.Generator().manual_seed(0))
    ways = {"eager": model.denoiser, **_compiled(model)}
    calls = {name: _call(denoiser, x, torch.tensor(500)) for name, denoiser in ways.items()}
    with torch.no_grad():
        rows = _in_turn(list(calls.values()), rounds)
    found: dict[str, Any] = {"batch": batch}
    for i, name in enumerate(calls):
        found[f"{name}_ms"] = median(row[i] for row in rows) * 1e3
        if name != "eager":
            found[f"eager_over_{name}"] = median(row[0] / row[i] for row in rows)
    return found


def wide_model(widths: Sequence[int], size: int) -> Any:
    """A DDPM of random weights; they serve for timing."""
    import torch
    from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel

    import analysis

    torch.manual_seed(0)
    attention = 1  # the level that has it, as in the DDPM
    downs = ["AttnDownBlock2D" if i == attention else "DownBlock2D" for i in range(len(widths))]
    ups = [name.replace("Down", "Up") for name in reversed(downs)]
    unet = UNet2DModel(
        sample_size=size,
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        block_out_channels=tuple(widths),
        down_block_types=tuple(downs),
        up_block_types=tuple(ups),
        norm_num_groups=min(32, min(widths)),
    )
    return analysis.from_pipeline(DDPMPipeline(unet.eval(), DDIMScheduler()), "wide")


def _compiled(model: Any) -> dict[str, Any]:
    """Float and integer model in OpenVINO, the rest in float32 and in bfloat16."""
    import analysis
    from analysis.backends import BACKENDS, BackendOptions
    from analysis.backends.denoiser import compiled_handle
    from analysis.int8 import PLAN, int8_options

    capture = analysis.capture(model, steps=2, samples=2)
    models = {
        "float": analysis.quantize(model, plan="W32A32"),
        "int8": analysis.quantize(model, plan=PLAN, calibration=capture, **int8_options()),
    }
    runtime = BACKENDS.get("openvino")
    return {
        f"openvino_{name}{'_bf16' if bfloat16 else ''}": compiled_handle(
            each, runtime, BackendOptions(bfloat16=bfloat16)
        ).denoiser
        for name, each in models.items()
        for bfloat16 in (False, True)
    }


def _call(denoiser: Any, x: Any, t: Any) -> Callable[[], Any]:
    return lambda: denoiser(x, t)


def _in_turn(calls: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Seconds of every call in every round; the first rounds compile and warm up."""
    rows = []
    for _ in range(WARM + rounds):
        row = []
        for call in calls:
            started = time.perf_counter()
            call()
            row.append(time.perf_counter() - started)
        rows.append(row)
    return rows[WARM:]
