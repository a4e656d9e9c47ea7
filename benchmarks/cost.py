"""How near the cost model comes: seconds and memory foretold, over those that were taken."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LIMIT = 0.3  # what an estimate may be off by
RUNS: dict[str, dict[str, Any]] = {
    "capture": {"work": "capture", "steps": 50, "samples": 16},
    "capture_64": {"work": "capture", "steps": 20, "samples": 64},
    "capture_exact": {"work": "capture", "steps": 50, "samples": 16, "exact": True},
    "calibrate": {"work": "calibrate", "sampler": "tdac", "size": 128, "steps": 50},
    "rtn": {"work": "quantize", "method": "rtn", "plan": "W4A8"},
    "ptq4dm": {"work": "quantize", "method": "ptq4dm", "plan": "W4A8", "preset": "fast"},
    "q_diffusion": {
        "work": "quantize",
        "method": "q-diffusion",
        "plan": "W4A8",
        "preset": "fast",
        "calibration_size": 64,
        "weight_iterations": 60,
        "act_iterations": 30,
        "last_iterations": 60,
    },
    "sweep": {"work": "sweep", "methods": ["rtn"], "plans": ["W8A8", "W4A8"], "steps": 20},
}
# Estimates and then does the work in the same process, as the command line does.
PROBE = """
import importlib, json, sys, time
import analysis
from analysis.cost.watch import Watch
arguments = json.loads(sys.argv[1])
work = arguments.pop("work")
model = analysis.load_model("fashion")
model.trace
started = time.perf_counter()
said = analysis.estimate(model, work, **arguments)
probe, watch = time.perf_counter() - started, Watch()
watch.begin()
started = time.perf_counter()
getattr(analysis, work)(model, **arguments)
taken = time.perf_counter() - started
print(json.dumps({"foretold_s": said.seconds, "taken_s": taken, "probe_s": probe,
                  "foretold_mb": said.bytes / 2**20, "taken_mb": watch.peak() / 2**20}))
"""


def cost() -> dict[str, Any]:
    """Foretold over taken, of every kind of work, each in a process of its own."""
    out: dict[str, Any] = {}
    for name, arguments in RUNS.items():
        found = one(arguments)
        out[f"{name}_s"] = found["taken_s"]
        out[f"{name}_time"] = found["foretold_s"] / found["taken_s"]
        out[f"{name}_memory"] = found["foretold_mb"] / found["taken_mb"]
        out[f"{name}_probe_share"] = found["probe_s"] / found["taken_s"]
    ratios = [value for key, value in out.items() if key.endswith(("_time", "_memory"))]
    return {**out, "worst": max(abs(ratio - 1) for ratio in ratios), "limit": LIMIT}


def one(arguments: dict[str, Any]) -> dict[str, float]:
    """One piece of work: what was foretold, and what it took."""
    command = [sys.executable, "-c", PROBE, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])
