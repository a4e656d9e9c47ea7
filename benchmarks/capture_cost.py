"""What capturing costs on top of sampling: time in one process, memory in fresh ones."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median
from typing import Any

STEPS, SAMPLES, ROUNDS = 50, 16, 3
FEW, MANY = 16, 1024  # samples whose peaks are held against each other

PROBE = """
import json, resource, sys
import analysis
from analysis.models.trajectory import sample, sampling_spec
samples, how, steps = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
model = analysis.load_model("fashion")
model.trace
if how == "sample":
    sample(model, sampling_spec(model, steps=steps, samples=samples))
    size = 0
else:
    from analysis.capture.run import statistics_megabytes
    done = analysis.capture(model, steps=steps, samples=samples)
    size = statistics_megabytes(model, steps)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"peak_mb": peak, "statistics_mb": size}))
"""


ALONE = """
import sys, time
from diffusers import DDIMScheduler, DDPMPipeline
folder, samples, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pipeline = DDPMPipeline.from_pretrained(folder, use_safetensors=True)
pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
pipeline.set_progress_bar_config(disable=True)
pipeline(batch_size=samples, num_inference_steps=2, output_type="np")
started = time.perf_counter()
pipeline(batch_size=samples, num_inference_steps=steps, output_type="np")
print(time.perf_counter() - started)
"""


def capture_time(model: Any = None) -> dict[str, Any]:
    """Seconds of capture over seconds of plain sampling, in turn, medians of several.

    Of the bundled model on the CPU, or of one that is given. `in_turn` are ratios of runs whose
    steps take turns, plain and captured, so that what else the machine does meets both alike.
    `alone` is the bundled model's own pipeline in a process that has only diffusers: loading a
    model here also makes the memory allocator keep what is freed, which speeds up both sampling
    and capturing.
    """
    import torch

    import analysis
    from analysis.capture.run import capture
    from analysis.models.trajectory import sample, sampling_spec

    bundled = model is None
    model = model or analysis.load_model("fashion", "cpu")
    spec = sampling_spec(model, steps=STEPS, samples=SAMPLES)
    capture(model, steps=2, samples=SAMPLES)
    rounds, alone, turns = [], [], []
    for _ in range(ROUNDS):
        plain = _seconds(lambda: sample(model, spec))
        drawn = _seconds(lambda: capture(model, steps=STEPS, samples=SAMPLES))
        exact = _seconds(lambda: capture(model, steps=STEPS, samples=SAMPLES, exact=True))
        rounds.append((plain, drawn, exact, drawn / plain, exact / plain))
        if bundled:
            alone.append(_alone())
            turns.append([in_turn(model, spec, exact) for exact in (False, True)])
    plain_s, capture_s, exact_s, ratios, exact_ratios = map(list, zip(*rounds, strict=True))
    found = {
        "steps": STEPS,
        "samples": SAMPLES,
        "threads": torch.get_num_threads(),
        "sampling_s": median(plain_s),
        "capture_s": median(capture_s),
        "exact_s": median(exact_s),
        "ratio": median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "ratio_exact": median(exact_ratios),
        "ratio_exact_min": min(exact_ratios),
        "ratio_exact_max": max(exact_ratios),
        "limit": 1.1,
        "limit_exact": 1.5,
    }
    if bundled:
        pairs = zip(capture_s, alone, strict=True)
        found |= {"alone_s": median(alone), "ratio_alone": median(c / a for c, a in pairs)}
        drawn_turns, exact_turns = zip(*turns, strict=True)
        found |= {"ratio_in_turn": median(drawn_turns), "ratio_exact_in_turn": median(exact_turns)}
    return found


def in_turn(model: Any, spec: Any, exact: bool) -> float:
    """Seconds of a captured run over those of a plain one, their steps in turn, on the CPU."""
    from analysis.capture.recorder import Recorder, finished
    from analysis.capture.run import DEFAULT_BINS, DRAWN, observed_layers
    from analysis.capture.trace import observed
    from analysis.models.trajectory import trajectory, visited_timesteps

    layers, drawn = observed_layers(model, None), None if exact else DRAWN
    timesteps = visited_timesteps(model, spec)
    plain, watched = trajectory(model, spec), trajectory(model, spec)
    recorder = Recorder(timesteps, spec.samples, spec.seed, DEFAULT_BINS, drawn)
    recorder.begin_batch(0, spec.samples)
    hooks = (layers, model.shortcuts, recorder.observe, recorder.begin_pass)
    plain_s = capture_s = 0.0
    for _ in timesteps:
        plain_s += _seconds(lambda: next(plain))
        with observed(model.denoiser, *hooks):
            capture_s += _seconds(lambda: (next(watched), recorder.flush()))
    capture_s += _seconds(lambda: finished(recorder, layers))
    return capture_s / plain_s


def capture_memory() -> dict[str, Any]:
    """Peak memory of fresh processes that sample and that capture, for few and many samples."""
    steps = 4
    out: dict[str, Any] = {"steps": steps}
    for samples in (FEW, MANY):
        plain = _process(PROBE, samples, "sample", steps)
        observed = _process(PROBE, samples, "capture", steps)
        out[f"sampling_mb_{samples}"] = plain["peak_mb"]
        out[f"capture_mb_{samples}"] = observed["peak_mb"]
        out[f"above_mb_{samples}"] = observed["peak_mb"] - plain["peak_mb"]
        out["statistics_mb"] = observed["statistics_mb"]
    out["above_limit_mb"] = out["statistics_mb"] + 50
    out["growth"] = out[f"capture_mb_{MANY}"] / out[f"capture_mb_{FEW}"]
    out["growth_limit"] = 1.05
    return out


def _process(script: str, *words: Any) -> Any:
    """What a script prints in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, words)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def _alone() -> float:
    from analysis.models.load import BUNDLED

    return float(_process(ALONE, BUNDLED / "fashion", SAMPLES, STEPS))


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
