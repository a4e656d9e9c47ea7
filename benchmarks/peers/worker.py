"""One job of one peer, as `start` calls it.

It runs in the peer's environment, where only what samples the model is installed besides.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

import analysis
from benchmarks.peers.peer import Bits, Peer, Run, plain
from benchmarks.peers.roster import PEERS
from benchmarks.peers.settings import NOISE_SEED, PLAIN, Settings

USUAL = Bits(8, 8)


def main() -> None:
    """Do the job and print what was found as the last line."""
    parser = argparse.ArgumentParser()
    for name in ("peer", "job", "settings", "pictures"):
        parser.add_argument(name)
    chosen = parser.parse_args()
    peer = next(p for p in PEERS if p.name == chosen.peer)
    settings = Settings(**json.loads(chosen.settings))
    run = Run(analysis.load_model("fashion", "cpu"), settings.steps, settings.samples)
    values = do(peer, chosen.job, run, settings, Path(chosen.pictures))
    print(json.dumps({"values": values, "made": _made(peer)}), flush=True)


def do(peer: Peer, job: str, run: Run, settings: Settings, pictures: Path) -> dict[str, Any]:
    """What a job finds; of a job named for a plan, the pictures go into a file."""
    if job == "time":
        return _time(peer, run, settings.rounds)
    if job == "memory-plain":
        peer.prepare(run, USUAL)  # what the library itself takes is no part of collecting
        run(plain(run))
        return {"peak_mb": peak_megabytes()}
    if job == "memory":
        peer.collect(peer.prepare(run, USUAL), run)
        return {"peak_mb": peak_megabytes()}
    return _quality(peer, job, run, settings, pictures)


def _time(peer: Peer, run: Run, rounds: int) -> dict[str, Any]:
    """Seconds of plain sampling and of collecting, in turn."""
    noise = plain(run)
    short = Run(run.model, 2, run.samples)
    short(noise)
    prepared = peer.prepare(short, USUAL)
    peer.collect(prepared, short)
    short(peer.quantized(prepared))  # some libraries build their kernels on first use
    found: dict[str, Any] = {"plain_s": [], "collect_s": []}
    for _ in range(rounds):
        prepared = peer.prepare(run, USUAL)
        found["plain_s"].append(_seconds(partial(run, noise)))
        found["collect_s"].append(_seconds(partial(peer.collect, prepared, run)))
    return found


def _quality(peer: Peer, plan: str, run: Run, settings: Settings, pictures: Path) -> dict[str, Any]:
    """Seconds to quantize and to sample, and a file of pictures."""
    values: dict[str, Any] = {}
    steps, samples = settings.quality_steps, settings.quality_samples
    final = Run(run.model, steps, samples, NOISE_SEED, batch=run.samples)
    if plan == PLAIN:
        noise: Any = plain(run)
    else:
        started = time.perf_counter()
        prepared = peer.prepare(run, Bits.of(plan))
        peer.collect(prepared, run)
        noise = peer.quantized(prepared)
        values["quantize_s"] = time.perf_counter() - started
    started = time.perf_counter()
    with torch.no_grad():
        found = final(noise)
    values["sample_s"] = time.perf_counter() - started
    safetensors.torch.save_file({"pictures": found.contiguous()}, pictures)
    return values


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_megabytes() -> float:
    """Most memory that this process has held; a parent's share does not count, as in rusage."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _made(peer: Peer) -> dict[str, str]:
    return {
        "version": peer.version,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "processor": _processor(),
    }


def _processor() -> str:
    """What the machine calls its processor, and how many cores there are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0] if names else platform.machine()}"
