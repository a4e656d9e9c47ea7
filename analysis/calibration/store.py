"""Calibration sets on disk: one safetensors file, checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.calibration.record import CalibrationReport, CalibrationSet
from analysis.files import FileKind, digest, read_tensors, write_tensors
from analysis.records import Array, SamplingSpec

KIND = FileKind("calibration-set", 1, "calibration set", "calibrate", "calibrate again")
_REPORTED = ("density", "diversity", "coverage_per_step")


def save_calibration(calibration: CalibrationSet, path: str | Path) -> Path:
    """Write a calibration set to a file, under a temporary name until it is whole.

    Raises:
        UserError: when the file cannot be written, for want of room say.
    """
    report = calibration.report
    header = {
        "sampler": calibration.sampler,
        "seed": calibration.seed,
        "model": calibration.model,
        "model_digest": calibration.model_digest,
        "spec": asdict(calibration.spec) if calibration.spec else None,
        "options": dict(calibration.options),
        "radius": report.radius if report else None,
    }
    tensors = _samples(calibration)
    if report:
        tensors |= {f"report.{name}": getattr(report, name) for name in _REPORTED}
    return write_tensors(path, KIND, header, tensors)


def load_calibration(path: str | Path) -> CalibrationSet:
    """Read what `save_calibration` wrote.

    Raises:
        UserError: when the file is missing, cut short, changed, or something else.
    """
    header, tensors = read_tensors(path, KIND)
    try:
        return _rebuild(header, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise KIND.damaged(Path(path), error) from None


def calibration_digest(calibration: CalibrationSet) -> str:
    """SHA-256 over what the denoiser would be given: samples, timesteps, conditioning."""
    return digest(calibration.model_digest, _samples(calibration))


def _samples(calibration: CalibrationSet) -> dict[str, Array]:
    tensors = {
        "x_t": calibration.x_t,
        "t": calibration.t,
        "timesteps": calibration.timesteps,
        **{f"cond.{name}": rows for name, rows in calibration.cond.items()},
    }
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def _rebuild(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> CalibrationSet:
    x_t, t = tensors["x_t"], tensors["t"]
    if x_t.ndim != 4 or t.shape != (len(x_t),):
        raise ValueError("its samples and timesteps do not match")
    report = None
    if header["radius"] is not None:
        columns = {name: tensors[f"report.{name}"] for name in _REPORTED}
        report = CalibrationReport(**columns, radius=header["radius"])
    cond = {n.removeprefix("cond."): a for n, a in tensors.items() if n.startswith("cond.")}
    return CalibrationSet(
        x_t=x_t,
        t=t,
        cond=cond,
        sampler=header["sampler"],
        seed=header["seed"],
        model=header["model"],
        model_digest=header["model_digest"],
        spec=SamplingSpec(**header["spec"]) if header["spec"] else None,
        timesteps=tensors["timesteps"],
        options=header["options"],
        report=report,
    )
