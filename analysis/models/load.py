"""Loading by bundled name, local folder or hub id: diffusers' loaders, safetensors only."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline
from torch import nn

from analysis.errors import UserError
from analysis.models.checkpoint import (
    OPTIONAL,
    check_complete,
    check_finite,
    check_keys,
    check_parts,
    check_usable,
    first_line,
    read_index,
    unet_class,
)
from analysis.models.handle import ModelHandle
from analysis.models.steady_heap import keep_freed_memory

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
    keep_freed_memory()
    quiet_diffusers()
    folder = _resolve(str(name))
    index = read_index(folder)
    class_name = unet_class(folder, index)
    check_parts(folder, index)
    pipeline = _load_pipeline(folder, index, _load_denoiser(folder, class_name))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(place)
    return ModelHandle(str(name), pipeline)


def from_pipeline(pipeline: DiffusionPipeline, name: str = "pipeline") -> ModelHandle:
    """A handle on a pipeline that is in memory already."""
    if not isinstance(getattr(pipeline, "unet", None), nn.Module):
        raise UserError(f"{type(pipeline).__name__} has no UNet; only UNet pipelines can be used.")
    check_usable(pipeline.unet, name)
    keep_freed_memory()
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
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity(logging.CRITICAL)
        library.disable_progress_bar()


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
            f"The model {hub_id} could not be fetched ({first_line(error)}); check the name and "
            "the connection, or give a local folder."
        ) from error


def _load_denoiser(folder: Path, class_name: str) -> nn.Module:
    try:
        denoiser, info = getattr(diffusers, class_name).from_pretrained(
            folder,
            subfolder="unet",
            use_safetensors=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except Exception as error:  # a configuration can be wrong in as many ways as there are blocks
        raise UserError(
            f"The UNet in {folder} could not be loaded ({first_line(error)}); save it again "
            "with save_pretrained."
        ) from error
    check_keys(folder, info)
    check_finite(folder, denoiser)
    check_usable(denoiser, folder.name)
    return denoiser.eval()


def _load_pipeline(folder: Path, index: dict[str, Any], denoiser: nn.Module) -> DiffusionPipeline:
    optional = {key: None for key in OPTIONAL if key in index}
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            folder, unet=denoiser, use_safetensors=True, low_cpu_mem_usage=False, **optional
        )
    except Exception as error:  # every component's library has its own errors
        raise UserError(
            f"The pipeline in {folder} could not be loaded ({first_line(error)}); save it again "
            "with save_pretrained."
        ) from error
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module) and part is not denoiser:
            check_finite(folder, part, f"{name}.")
            check_complete(folder, name, part)
    return pipeline
