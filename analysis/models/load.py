"""Loading by bundled name, local folder or hub id: diffusers' loaders, safetensors only."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline
from torch import nn

from analysis.errors import UserError
from analysis.models.handle import ModelHandle

BUNDLED = Path(__file__).parents[2] / "assets" / "models"


def bundled_models() -> list[str]:
    """Names of the models that come with the repository."""
    return sorted(path.parent.name for path in BUNDLED.glob("*/model_index.json"))


def load_model(name: str | Path = "fashion", device: str = "auto") -> ModelHandle:
    """Load a diffusers pipeline with a UNet.

    Args:
        name: a bundled name, a local diffusers folder, or a hub id such as `owner/model`.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: for a folder that is no diffusers model, a hub id that cannot be reached,
            pickle-only, missing, extra, misshapen or not-a-number weights.
    """
    place = pick_device(device)
    quiet_diffusers()
    folder = _resolve(str(name))
    pipeline = _load_pipeline(folder, _load_denoiser(folder))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(place)
    return ModelHandle(str(name), pipeline)


def from_pipeline(pipeline: DiffusionPipeline, name: str = "pipeline") -> ModelHandle:
    """A handle on a pipeline that is in memory already."""
    if not isinstance(getattr(pipeline, "unet", None), nn.Module):
        raise UserError(f"{type(pipeline).__name__} has no UNet; only UNet pipelines can be used.")
    pipeline.unet.eval()
    return ModelHandle(name, pipeline)


def pick_device(device: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda`."""
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"device must be auto, cpu or cuda; got {device!r}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA device on this machine; use --device cpu or auto.")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def quiet_diffusers() -> None:
    """Keep the loaders' own chatter off the screen: what matters is raised, in one sentence."""
    diffusers.utils.logging.set_verbosity(logging.CRITICAL)
    diffusers.utils.logging.disable_progress_bar()


def _resolve(name: str) -> Path:
    if name in bundled_models():
        return BUNDLED / name
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise UserError(
                f"{name} is no diffusers pipeline: it has no model_index.json; give the folder "
                "that save_pretrained wrote."
            )
        return folder
    if folder.exists():
        raise UserError(f"{name} is a file; give the folder that save_pretrained wrote.")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise UserError(
            f"There is no model {name!r}: it is neither bundled ({', '.join(bundled_models())}), "
            "nor a folder here, nor a hub id of the form owner/model."
        )
    return _download(name)


def _download(hub_id: str) -> Path:
    try:
        return Path(DiffusionPipeline.download(hub_id, use_safetensors=True))
    except Exception as error:  # the hub client raises a different type for every way to fail
        raise UserError(
            f"The model {hub_id} could not be fetched ({_first_line(error)}); check the name and "
            "the connection, or give a local folder."
        ) from error


def _load_denoiser(folder: Path) -> nn.Module:
    index = _read_index(folder)
    library, class_name = index.get("unet") or (None, None)
    if library != "diffusers" or not hasattr(diffusers, str(class_name)):
        raise UserError(
            f"{folder.name} ({index.get('_class_name', 'unknown pipeline')}) has no UNet; only "
            "pipelines with a UNet2DModel or UNet2DConditionModel can be used."
        )
    _refuse_pickles(folder / "unet")
    try:
        denoiser, info = getattr(diffusers, str(class_name)).from_pretrained(
            folder,
            subfolder="unet",
            use_safetensors=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"The UNet in {folder} could not be loaded ({_first_line(error)}); save it again "
            "with save_pretrained."
        ) from error
    _check_weights(folder, denoiser, info)
    return denoiser.eval()


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        return DiffusionPipeline.load_config(folder)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / 'model_index.json'} cannot be read ({_first_line(error)}); save the "
            "pipeline again with save_pretrained."
        ) from error


def _refuse_pickles(folder: Path) -> None:
    pickles = [p.name for p in folder.glob("*.*") if p.suffix in (".bin", ".pt", ".ckpt", ".pth")]
    if pickles and not list(folder.glob("*.safetensors")):
        raise UserError(
            f"{folder} holds only pickled weights ({pickles[0]}), which can run code when they "
            "are opened; save the model with safe_serialization=True."
        )


def _check_weights(folder: Path, denoiser: nn.Module, info: dict[str, Any]) -> None:
    for key, word in (("missing_keys", "lacks"), ("unexpected_keys", "has extra")):
        names = sorted(info[key])
        if names:
            raise UserError(
                f"The checkpoint in {folder} {word} {len(names)} weights, the first is "
                f"{names[0]!r}; it does not belong to this config.json."
            )
    for name, tensor in denoiser.named_parameters():
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(
                f"The weight {name!r} in {folder} holds NaN or infinite values; the checkpoint "
                "is damaged, take an earlier one."
            )


def _load_pipeline(folder: Path, denoiser: nn.Module) -> DiffusionPipeline:
    optional = {
        key: None
        for key in ("safety_checker", "feature_extractor", "image_encoder")
        if key in _read_index(folder)
    }
    try:
        return DiffusionPipeline.from_pretrained(
            folder, unet=denoiser, use_safetensors=True, low_cpu_mem_usage=False, **optional
        )
    except Exception as error:  # every component's library has its own errors
        raise UserError(
            f"The pipeline in {folder} could not be loaded ({_first_line(error)}); save it again "
            "with save_pretrained."
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:;")[:160]
