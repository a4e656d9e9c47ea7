"""Images diffused forward: what the model was trained on, not what it meets when it samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from analysis.calibration.own_runs import Source, final_samples
from analysis.calibration.samplers.random import Random
from analysis.calibration.samplers.sampler import SAMPLERS
from analysis.errors import UserError
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import sample_generators
from analysis.records import Array

OWN_SAMPLES = 64  # own float samples that stand in for a data set, at most
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@SAMPLERS.register("forward")
@dataclass(frozen=True, kw_only=True)
class Forward(Random):
    """x_t ~ q(x_t | x_0) = Normal(sqrt(abar_t) x_0, 1 - abar_t) at steps drawn evenly.

    (Ho et al. 2020, arXiv 2006.11239, eq. 4; one of PTQ4DM's comparisons.) x_0 are the given
    images. Without any, they are up to 64 of the model's own float samples, not its training
    data, which is not at hand; each then serves several noises and steps.
    """

    images: Any = field(
        default=None,
        metadata={"help": "Folder of images, or [M, C, H, W] in -1 .. 1; none: own samples"},
    )

    def x_t(self, source: Source, steps: Array) -> Array:
        abar = self._alphas(source)[steps]  # [N]
        x_0 = self._x_0(source, len(steps)).float().cpu().numpy()  # [M, C, H, W]
        generators = sample_generators(source.spec.seed, 0, len(steps))
        noise = [torch.randn(x_0.shape[1:], generator=g).numpy() for g in generators]
        abar = abar[:, None, None, None]
        # Steps rise, so taking images in turn gives every step different ones.
        chosen = x_0[np.arange(len(steps)) % len(x_0)]
        return (np.sqrt(abar) * chosen + np.sqrt(1 - abar) * np.stack(noise)).astype(np.float32)

    def _alphas(self, source: Source) -> Array:
        """abar_t [T] at the visited timesteps."""
        alphas = getattr(source.model.pipeline.scheduler, "alphas_cumprod", None)
        if alphas is None:
            raise UserError(
                f"{source.model.name} has no noise schedule with abar_t, so its images cannot be "
                "diffused forward; choose another calibration sampler."
            )
        nearest = np.rint(source.timesteps).astype(int).clip(0, len(alphas) - 1)
        return alphas.double().numpy()[nearest]

    def _x_0(self, source: Source, size: int) -> torch.Tensor:
        if self.images is None:
            return final_samples(source, min(size, OWN_SAMPLES))
        if isinstance(self.images, str | Path):
            return _encoded(source.model, _read_folder(Path(self.images), source.model))
        images = torch.as_tensor(self.images, dtype=torch.float32)
        if images.ndim != 4 or len(images) == 0 or not bool(torch.isfinite(images).all()):
            raise UserError(f"images must be finite, [M, C, H, W]; got shape {list(images.shape)}.")
        return _encoded(source.model, images)


def _read_folder(folder: Path, model: ModelHandle) -> torch.Tensor:
    """Images of a folder [M, C, H, W] in -1 .. 1, in the size that the model makes."""
    if not folder.is_dir():
        raise UserError(f"There is no folder of images at {folder}.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise UserError(f"{folder} holds no images ({', '.join(SUFFIXES)}).")
    channels, (height, width) = _picture_shape(model)
    images = []
    for path in paths:
        try:
            with Image.open(path) as image:
                resized = image.convert("L" if channels == 1 else "RGB").resize((width, height))
        except (UnidentifiedImageError, OSError):
            raise UserError(f"{path} cannot be read as an image; remove it.") from None
        pixels = np.asarray(resized, dtype=np.float32).reshape(height, width, channels)
        images.append(torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1))  # [C, H, W]
    return torch.stack(images)


def _autoencoder(model: ModelHandle) -> Any:
    return getattr(model.pipeline, "vae", None) or getattr(model.pipeline, "vqvae", None)


def _picture_shape(model: ModelHandle) -> tuple[int, tuple[int, int]]:
    """Channels and size of the model's pictures, before any autoencoder."""
    channels, height, width = model.sample_shape
    autoencoder = _autoencoder(model)
    if autoencoder is None:
        return channels, (height, width)
    scale = 2 ** (len(autoencoder.config.block_out_channels) - 1)
    return autoencoder.config.in_channels, (height * scale, width * scale)


@torch.no_grad()
def _encoded(model: ModelHandle, images: torch.Tensor) -> torch.Tensor:
    """x_0 of images: themselves, or their latents where the model works on latents."""
    channels, size = _picture_shape(model)
    if tuple(images.shape[1:]) != (channels, *size):
        raise UserError(
            f"{model.name} makes pictures of shape {[channels, *size]}; the images have "
            f"{list(images.shape[1:])}."
        )
    autoencoder = _autoencoder(model)
    if autoencoder is None:
        return images
    rows = []
    for image in images.to(model.device, autoencoder.dtype).split(1):
        out = autoencoder.encode(image)
        rows.append(out.latent_dist.mean if hasattr(out, "latent_dist") else out.latents)
    shift = getattr(autoencoder.config, "shift_factor", None) or 0.0
    return (torch.cat(rows) - shift) * autoencoder.config.scaling_factor
