"""What is measured of a model: pictures from fixed noise, one-step noise, bytes on disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch

from analysis.comparison import FRECHET_SHAPE
from analysis.errors import UserError
from analysis.files import FileKind, read_tensors, write_tensors
from analysis.metrics import frechet_to_data, psnr, sqnr_db, ssim
from analysis.metrics.image import WINDOW
from analysis.models.conditioning import condition
from analysis.models.handle import ModelHandle
from analysis.models.schedulers import make_scheduler
from analysis.models.trajectory import predict, sample, sampling_spec, trajectory
from analysis.progress import Progress
from analysis.quant.model import QuantizedModel
from analysis.quant.store import save_quantized
from benchmarks.table.sources import loaded_digest
from benchmarks.table.store import Settings

BATCH = 32  # larger ones leave the processor's cache
# Calibration draws its runs from the noise of seeds 0, 1, 2; what is measured is other noise.
NOISE_SEED = 1000
HELD_OUT_SEED, HELD_OUT_SAMPLES = 2000, 32
PICTURES = FileKind("table-pictures", 1, "file of float pictures", "make table", "run it again")
HELD_OUT = FileKind("table-held-out", 1, "held-out set", "make table", "run it again")


@dataclass
class Clock:
    """Seconds of every phase of a row."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True)
class HeldOut:
    """Noisy samples along float trajectories that no calibration has seen, and their noise."""

    x_t: torch.Tensor  # [T, n, C, H, W]
    noise: torch.Tensor  # [T, n, C, H, W], what the float model predicts


def pictures(
    model: ModelHandle, settings: Settings, seed: int, progress: Progress | None = None
) -> torch.Tensor:
    """Pictures [N, C, H, W] in [0, 1] of a model; a seed's noise is the same for all models."""
    spec = sampling_spec(model, settings.steps, settings.samples, NOISE_SEED + seed)
    return sample(model, spec, BATCH, progress)


def float_pictures(
    folder: Path,
    model: ModelHandle,
    settings: Settings,
    seed: int,
    progress: Progress | None = None,
) -> torch.Tensor:
    """The float model's pictures of a seed, kept in a file for all rows of that seed."""

    def draw() -> dict[str, torch.Tensor]:
        return {"pictures": pictures(model, settings, seed, progress)}

    return _kept(folder, PICTURES, f"float-seed{seed}", settings, draw)["pictures"]


def held_out(folder: Path, model: ModelHandle, settings: Settings) -> HeldOut:
    """x_t at every step of the table's own kind of run, kept in a file for all rows."""

    def draw() -> dict[str, torch.Tensor]:
        spec = sampling_spec(model, settings.steps, HELD_OUT_SAMPLES, HELD_OUT_SEED)
        steps = [(step.x_t.cpu(), step.noise_pred.cpu()) for step in trajectory(model, spec)]
        x_t, noise = (torch.stack(side) for side in zip(*steps, strict=True))
        return {"x_t": x_t, "noise": noise}

    return HeldOut(**_kept(folder, HELD_OUT, "held-out", settings, draw))


def _kept(folder: Path, kind: FileKind, name: str, settings: Settings, draw) -> dict:
    """Tensors from their file, or drawn and written to it; a spoilt file is drawn again."""
    made_of = [settings.model_digest, settings.samples, settings.steps, settings.device]
    header = {"made_of": made_of, "source": loaded_digest("float")}
    path = folder / f"{name}-{settings.samples}x{settings.steps}.safetensors"
    try:
        found, tensors = read_tensors(path, kind)
        if all(found.get(key) == value for key, value in header.items()):
            return {key: torch.from_numpy(array) for key, array in tensors.items()}
    except UserError:
        pass
    drawn = draw()
    write_tensors(path, kind, header, {key: tensor.numpy() for key, tensor in drawn.items()})
    return drawn


@torch.no_grad()
def one_step_sqnr_db(model: ModelHandle, held: HeldOut, steps: int) -> float:
    """SQNR of the predicted noise over all held-out inputs, each given as it is, in dB."""
    told = condition(model)
    scheduler = make_scheduler(model.pipeline.scheduler, None, steps, model.device)
    kwargs = told.for_batch(held.x_t.shape[1])
    found = [
        predict(model, scheduler, x.to(model.device), t, told, kwargs).cpu()
        for x, t in zip(held.x_t, scheduler.timesteps, strict=True)
    ]
    return sqnr_db(held.noise, torch.stack(found))  # [T, n, C, H, W]


def picture_values(reference: torch.Tensor | None, found: torch.Tensor) -> dict[str, float | None]:
    """PSNR and SSIM to the float pictures, Frechet distance to the data, where they apply."""
    known = tuple(found.shape[1:]) == FRECHET_SHAPE and len(found) > 1
    values: dict[str, float | None] = {"frechet": frechet_to_data(found) if known else None}
    if reference is not None:
        large = min(found.shape[-2:]) >= WINDOW
        values["psnr_db"] = psnr(reference, found)
        values["ssim"] = ssim(reference, found) if large else None
    return values


def float_bytes(model: ModelHandle) -> int:
    """Bytes of the denoiser's weights as one safetensors file."""
    weights = {name: t.detach().contiguous() for name, t in model.denoiser.state_dict().items()}
    return len(safetensors.torch.save(weights))


def quantized_bytes(quantized: QuantizedModel) -> int:
    """Bytes of the folder that `save_quantized` writes."""
    with tempfile.TemporaryDirectory() as home:
        folder = save_quantized(quantized, Path(home) / "model")
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
