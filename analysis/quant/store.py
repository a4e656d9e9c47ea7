"""Quantized models on disk: a recipe in JSON beside bit-packed weights in safetensors.

Only what differs from the float model is kept; the float model itself is needed to load one,
and the recipe knows it by digest. A model that was loaded computes bit for bit what the saved
one did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError
from torch import Tensor

from analysis.errors import UserError
from analysis.models.handle import ModelHandle
from analysis.quant.assemble import assemble, quant_layers, weight_of
from analysis.quant.files import damaged, read_recipe, write_folder
from analysis.quant.model import LayerRow, QuantizedModel
from analysis.quant.packing import pack, unpack
from analysis.quant.phase import curves, points_of
from analysis.quant.plan import QuantPlan
from analysis.quant.primitives import dequantize
from analysis.quant.qparams import LayerQParams, QParams
from analysis.quant.split import on_weight
from analysis.records import Array

WEIGHTS = "weights.safetensors"


def save_quantized(model: QuantizedModel, folder: str | Path) -> Path:
    """Write a quantized model as a folder with `recipe.json` and `weights.safetensors`.

    The folder appears whole or not at all; a quantized model that was there is replaced.

    Raises:
        UserError: when the folder holds something else, or cannot be written.
    """
    weights = safetensors.numpy.save(_tensors(model))
    recipe = _recipe(model) | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    return write_folder(Path(folder), recipe, {WEIGHTS: weights})


def load_quantized(folder: str | Path, model: ModelHandle | None = None) -> QuantizedModel:
    """Read what `save_quantized` wrote.

    Args:
        model: the float model it was made from; loaded by its name if not given.

    Raises:
        UserError: when the folder is no quantized model, is damaged, or belongs to another
            float model.
    """
    path = Path(folder)
    recipe, weights = read_recipe(path, WEIGHTS)
    try:
        handle = model if model is not None else _float_model(recipe["model"])
        _check_model(path, handle, recipe)
        tensors = safetensors.numpy.load(weights)
        seams = recipe["seams"]
        qparams = {
            name: _grids(name, bits, seams.get(name, (None, None)), tensors)
            for name, bits in recipe["bits"].items()
        }
        rounded = {
            name: _weight(handle, name, grids.weight, tensors[f"{name}.weight"])
            for name, grids in qparams.items()
            if grids.weight is not None
        }
        return _rebuild(handle, recipe, qparams, rounded)
    except (LookupError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise damaged(path, error) from None


def float_model_name(folder: str | Path) -> str:
    """Name of the float model that a saved quantized model was made from.

    Raises:
        UserError: when the folder is no quantized model, or is damaged.
    """
    recipe, _ = read_recipe(Path(folder), WEIGHTS)
    return str(recipe["model"])


def _tensors(model: QuantizedModel) -> dict[str, Array]:
    """Packed weights, scales and zero points under their layers' names."""
    layers = quant_layers(model.handle.denoiser)
    out: dict[str, Array] = {}
    for name, grids in model.qparams.items():
        for part, grid in (("weight", grids.weight), ("act", grids.act)):
            if grid is not None:
                out[f"{name}.{part}_scale"] = np.asarray(grid.scale)
                out[f"{name}.{part}_zero_point"] = np.asarray(grid.zero_point)
        if grids.weight is not None:
            levels = layers[name].weight_levels()
            assert levels is not None
            out[f"{name}.weight"] = pack(levels.cpu().numpy(), grids.weight.bits)
    return out


def _recipe(model: QuantizedModel) -> dict[str, Any]:
    def bits(grid: QParams | None) -> int | None:
        return None if grid is None else grid.bits

    return {
        "model": model.handle.name,
        "model_digest": model.model_digest,
        "method": model.method,
        "config": dict(model.config),
        "plan": model.plan.to_dict(),
        "calibration": model.calibration,
        "timesteps": list(model.timesteps),
        "bits": {n: [bits(g.weight), bits(g.act)] for n, g in model.qparams.items()},
        "seams": {n: s for n, g in model.qparams.items() if (s := _seams(g)) != [None, None]},
        "layers": [asdict(row) for row in model.layers],
        "skipped": dict(model.skipped),
        "notes": list(model.notes),
        "losses": curves(model.losses),
        "size_bytes": model.size_bytes,
        "float_size_bytes": model.float_size_bytes,
    }


def _seams(grids: LayerQParams) -> list[int | None]:
    return [None if grid is None else grid.seam for grid in (grids.weight, grids.act)]


def _float_model(name: str) -> ModelHandle:
    from analysis.models.load import load_model

    return load_model(name)


def _check_model(path: Path, handle: ModelHandle, recipe: Mapping[str, Any]) -> None:
    if handle.digest != recipe["model_digest"]:
        raise UserError(
            f"{path} was made from another model than {handle.name} (its name was "
            f"{recipe['model']}); load it with that one, or quantize again."
        )


def _grids(
    name: str,
    bits: Sequence[int | None],
    seams: Sequence[int | None],
    tensors: Mapping[str, Array],
) -> LayerQParams:
    def grid(part: str, number: int | None, seam: int | None) -> QParams | None:
        if number is None:
            return None
        key = f"{name}.{part}"
        return QParams(number, tensors[f"{key}_scale"], tensors[f"{key}_zero_point"], seam)

    return LayerQParams(grid("weight", bits[0], seams[0]), grid("act", bits[1], seams[1]))


def _weight(handle: ModelHandle, name: str, grid: QParams, packed: Array) -> Tensor:
    """The rounded weight, in the memory layout of the float one: the two must compute alike."""
    weight = weight_of(handle.denoiser, name)
    levels = unpack(packed, grid.bits, weight.numel()).reshape(weight.shape)
    values = on_weight(dequantize, torch.from_numpy(levels), *grid.tensors(), grid.seam)
    return torch.empty_like(weight).copy_(values)


def _rebuild(
    handle: ModelHandle,
    recipe: Mapping[str, Any],
    qparams: dict[str, LayerQParams],
    weights: dict[str, Tensor],
) -> QuantizedModel:
    return QuantizedModel(
        handle=assemble(handle, qparams, weights),
        plan=QuantPlan.from_dict(recipe["plan"]),
        method=recipe["method"],
        config=recipe["config"],
        qparams=qparams,
        layers=tuple(LayerRow(**row) for row in recipe["layers"]),
        model_digest=recipe["model_digest"],
        calibration=recipe["calibration"],
        timesteps=tuple(recipe["timesteps"]),
        size_bytes=recipe["size_bytes"],
        float_size_bytes=recipe["float_size_bytes"],
        skipped=recipe["skipped"],
        notes=tuple(recipe["notes"]),
        losses=tuple(points_of(recipe["losses"])),
    )
