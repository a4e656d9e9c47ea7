"""Block reconstruction as methods call it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from analysis.calibration.record import CalibrationSet
from analysis.calibration.store import calibration_digest
from analysis.methods.job import Job
from analysis.models.handle import ModelHandle
from analysis.quant.finished import Finished
from analysis.quant.phase import Phase
from analysis.quant.plan import QuantPlan
from analysis.quant.qparams import LayerQParams
from analysis.quant.reconstruct import Learned, reconstruct


def finished_in(
    handle: ModelHandle, calibration: CalibrationSet, plan: QuantPlan, config: Any, job: Job
) -> Finished | None:
    """The job's finished units; those of another model, plan, configuration or set do not count."""
    if job.keep is None:
        return None
    what = [handle.digest, calibration_digest(calibration), plan.to_dict(), asdict(config)]
    text = json.dumps([*what, type(config).__name__, job.seed], sort_keys=True)
    return Finished(job.keep, hashlib.sha256(text.encode()).hexdigest())


def walk(
    handle: ModelHandle,
    qparams: Mapping[str, LayerQParams],
    calibration: CalibrationSet,
    phase: Phase,
    job: Job,
    finished: Finished | None,
    weights: Mapping[str, Tensor] | None = None,
) -> Learned:
    """`reconstruct` for a job; without iterations nothing is run."""
    if phase.iterations == 0:
        return Learned(dict(weights or {}), dict(qparams), [])
    return reconstruct(
        handle,
        qparams,
        calibration,
        phase,
        weights,
        seed=job.seed,
        progress=job.progress,
        should_stop=job.should_stop,
        on_loss=job.on_loss,
        finished=finished,
    )
