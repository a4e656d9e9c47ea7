"""What a folder must hold before and after diffusers has loaded it; else one clear sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors import safe_open
from torch import nn

from analysis.errors import UserError

UNETS = ("UNet2DModel", "UNet2DConditionModel")
OPTIONAL = ("safety_checker", "feature_extractor", "image_encoder")  # never needed to sample
_PICKLED = (".bin", ".pt", ".ckpt", ".pth")
_FLOATS = ("F64", "F32", "F16", "BF16")


def first_line(error: BaseException) -> str:
    """The gist of somebody else's error message, for the brackets of our own sentence."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    gist = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    if "`ignore_mismatched_sizes`" in gist:  # transformers' advice to programmers
        gist = "a weight has another shape than its config.json says"
    return gist.rstrip(".:;")[:240]


def read_index(folder: Path) -> dict[str, Any]:
    """The pipeline's `model_index.json`, every needed part of which has its folder."""
    path = folder / "model_index.json"
    try:
        index = DiffusionPipeline.load_config(folder)
    except (OSError, ValueError) as error:
        raise _unreadable(path, first_line(error)) from error
    if not isinstance(index, dict):
        raise _unreadable(path, "it is no JSON object")
    return index


def unet_class(folder: Path, index: Mapping[str, Any]) -> str:
    """The name of the denoiser's class."""
    entry = index.get("unet")
    if not isinstance(entry, list) or len(entry) != 2 or entry[1] not in UNETS:
        kind = index.get("_class_name", "unknown pipeline")
        raise UserError(
            f"{folder.name} ({kind}) has no UNet; only pipelines with a {' or '.join(UNETS)} can "
            "be used."
        )
    return str(entry[1])


def check_parts(folder: Path, index: Mapping[str, Any]) -> None:
    """Refuse missing parts, and pickled weights, which can run code when they are opened."""
    for name, entry in index.items():
        needed = isinstance(entry, list) and len(entry) == 2 and None not in entry
        if not needed or name in OPTIONAL:
            continue
        part = folder / name
        if not part.is_dir():
            raise UserError(
                f"The pipeline in {folder} could not be loaded (its {name} is missing); save it "
                "again with save_pretrained."
            )
        pickles = sorted(p.name for p in part.iterdir() if p.suffix in _PICKLED)
        if pickles and not list(part.glob("*.safetensors")):
            raise UserError(
                f"{part} holds only pickled weights ({pickles[0]}), which can run code when they "
                "are opened; save the model with safe_serialization=True."
            )


def check_keys(folder: Path, info: Mapping[str, Any]) -> None:
    """Refuse a denoiser whose weights are not exactly those of its configuration."""
    for key, word in (("missing_keys", "lacks"), ("unexpected_keys", "has extra")):
        names = sorted(info[key])
        if names:
            raise UserError(
                f"The checkpoint in {folder} {word} {len(names)} weights, the first is "
                f"{names[0]!r}; it does not belong to this config.json."
            )


def check_finite(folder: Path, module: nn.Module, prefix: str = "") -> None:
    """Refuse weights that are NaN or infinite."""
    for name, tensor in module.named_parameters():
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(
                f"The weight {prefix + name!r} in {folder} holds NaN or infinite values; the "
                "checkpoint is damaged, take an earlier one."
            )


def check_complete(folder: Path, name: str, module: nn.Module) -> None:
    """Refuse a part whose files hold fewer numbers than it has: the rest would be random.

    Counted, not named: older checkpoints have other names, which the loaders translate.
    """
    held = sum(p.numel() for p in module.parameters())
    stored = sum(_numbers(path) for path in (folder / name).glob("*.safetensors"))
    if stored < held:
        raise UserError(
            f"The {name} in {folder} lacks {held - stored} of {held} weights; save it again with "
            "save_pretrained."
        )


def check_usable(denoiser: Any, name: str) -> None:
    """Refuse a UNet that plain sampling cannot feed."""
    config = denoiser.config
    if config.sample_size is None:
        raise UserError(f"The UNet of {name} has no sample_size; set it in its config.json.")
    if config.out_channels not in (config.in_channels, 2 * config.in_channels):
        raise UserError(
            f"The UNet of {name} takes {config.in_channels} channels and returns "
            f"{config.out_channels}; inpainting and upscaling models are not supported."
        )


def _numbers(path: Path) -> int:
    with safe_open(path, framework="pt") as file:
        slices = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118
        floats = [part for part in slices if part.get_dtype() in _FLOATS]
        return sum(torch.Size(part.get_shape()).numel() for part in floats)


def _unreadable(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} cannot be read ({what}); save the pipeline again with save_pretrained."
    )
