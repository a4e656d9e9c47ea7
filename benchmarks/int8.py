"""What integers are worth: one denoiser call in every way that there is here, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.int8_ways import ways

ROUNDS, WARM = 11, 3
WIDE = (128, 256, 256, 256)
FLOATS = ("compile", "onnxruntime_float", "openvino_float")
OURS = ("openvino_int8", "openvino_int8_bf16")


def int8_wide() -> dict[str, Any]:
    """Medians of seconds and of their ratios, a model of the CIFAR-10 DDPM's shape at batch 4."""
    return measure(wide_model(WIDE, 32), batch=4)


def int8_bundled() -> dict[str, Any]:
    """The same of the bundled model at batch 16, and how far its pictures are from float ones."""
    import analysis

    return measure(analysis.load_model("fashion"), batch=16, pictures=(16, 20))


def measure(
    model: Any, batch: int, rounds: int = ROUNDS, pictures: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Milliseconds of every way to compute one step, and how they stand to each other.

    Eager PyTorch is `eager`; `openvino_int8` and the same with bfloat16 for the rest are this
    project's integers, rounded to nearest under the profile int8; `nncf_int8` are NNCF's own. A
    way that fails is listed with the reason.

    Args:
        pictures: samples and steps to be drawn with every quantized model; none if not given.
    """
    import torch

    made, failed = ways(model, batch)
    x = torch.randn(batch, *model.sample_shape, generator=torch.Generator().manual_seed(0))
    calls = {}
    for name, denoiser in made.items():
        call = _call(denoiser, x)
        try:
            call()  # compiles
        except Exception as error:  # a compiler may fail in any way; the others go on
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
        else:
            calls[name] = call
    rows = in_turn(list(calls.values()), rounds)
    seconds = {name: [row[i] for row in rows] for i, name in enumerate(calls)}
    found = {"batch": batch, **ratios(seconds)}
    if pictures is not None:
        found |= _quality(model, {n: made[n] for n in calls if "int8" in n}, *pictures)
    return found | {f"{name}_failed": why for name, why in failed.items()}


def ratios(seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Medians in milliseconds, medians of ratios within a round, and which way wins."""
    middle = {name: median(values) for name, values in seconds.items()}
    found: dict[str, Any] = {f"{name}_ms": 1e3 * value for name, value in middle.items()}

    def over(slow: str, fast: str) -> float:
        return median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))

    for name in middle:
        if name != "eager":
            found[f"eager_over_{name}"] = over("eager", name)
    ours = min((name for name in OURS if name in middle), key=middle.__getitem__)
    fastest = min((name for name in ("eager", *FLOATS) if name in middle), key=middle.__getitem__)
    found |= {"ours": ours, "fastest_float32": fastest}
    found["fastest_float32_over_ours"] = over(fastest, ours)
    peers = [name for name in middle if name.startswith("nncf")]
    if peers:
        peer = min(peers, key=middle.__getitem__)
        found |= {"nncf": peer, "nncf_over_ours": over(peer, ours)}
    return found


def wide_model(widths: Sequence[int], size: int) -> Any:
    """A DDPM of random weights, which serve for timing.

    Its shape is that of the CIFAR-10 model of Ho et al. 2020, as published for diffusers.
    """
    import torch
    from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel

    import analysis

    torch.manual_seed(0)
    attention = 1  # the level that has it
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
        attention_head_dim=None,  # one head
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    )
    return analysis.from_pipeline(DDPMPipeline(unet.eval(), DDIMScheduler()), "wide")


def in_turn(calls: Sequence[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Seconds of every call in every round; the first rounds warm up.

    Each is called twice and timed once: threads of the way before may still be spinning.
    """
    rows = []
    for _ in range(WARM + rounds):
        row = []
        for call in calls:
            call()
            started = time.perf_counter()
            call()
            row.append(time.perf_counter() - started)
        rows.append(row)
    return rows[WARM:]


def _call(denoiser: Any, x: Any) -> Callable[[], Any]:
    import torch

    def call() -> Any:
        with torch.no_grad():
            return denoiser(x, torch.tensor(500))

    return call


def _quality(
    model: Any, denoisers: Mapping[str, Any], samples: int, steps: int
) -> dict[str, float]:
    """PSNR in dB of pictures from the same noise: to the float model, and to the simulation."""
    from analysis.metrics.image import psnr
    from analysis.models.trajectory import sample, sampling_spec

    spec = sampling_spec(model, steps, samples, 0)
    reference = sample(model, spec, batch=samples)
    drawn = {
        name: sample(model.with_denoiser(denoiser), spec, batch=samples)
        for name, denoiser in denoisers.items()
    }
    found = {f"{name}_psnr_db": psnr(reference, pictures) for name, pictures in drawn.items()}
    simulated = drawn["simulated_int8"]
    for name in ("openvino_int8", "openvino_int8_bf16", "onnxruntime_int8"):
        if name in drawn:
            found[f"{name}_psnr_to_simulation_db"] = psnr(simulated, drawn[name])
    return {"samples": samples, "steps": steps, **found}
