"""One weight of a model's denoiser, read from its file: no torch, no download, milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError, safe_open

from analysis.records import Array

BUNDLED = Path(__file__).parents[2] / "assets" / "models"
FILE = "unet/diffusion_pytorch_model.safetensors"


def read_weight(model: str, layer: str) -> Array | None:
    """The weight [C_out, C_in, ...] of a layer; `None` if no file here holds it as plain numbers.

    Args:
        model: a bundled name, a local diffusers folder, or a hub id that was fetched before.
    """
    for path in _files(model):
        try:
            with safe_open(path, framework="numpy") as file:
                return np.asarray(file.get_tensor(f"{layer}.weight"))
        except (OSError, SafetensorError, TypeError):  # another shard, or bfloat16
            continue
    return None


def is_bundled(model: str) -> bool:
    """Whether a model of this name came with the repository."""
    own = BUNDLED / model
    return own.parent == BUNDLED and own.is_dir()


def _files(model: str) -> list[Path]:
    folder = BUNDLED / model if is_bundled(model) else Path(model).expanduser()
    found = sorted((folder / "unet").glob("*.safetensors"))
    if not found and model.count("/") == 1 and not model.startswith((".", "/", "~")):
        cached = try_to_load_from_cache(model, FILE)
        return [Path(cached)] if isinstance(cached, str) else []
    return found
