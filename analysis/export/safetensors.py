"""The recipe and the packed integer weights: what `load_quantized` reads, nothing else."""

from __future__ import annotations

from pathlib import Path

from analysis.export import EXPORTS, ExportOptions
from analysis.quant.model import QuantizedModel
from analysis.quant.store import save_quantized


@EXPORTS.register("safetensors")
def export_safetensors(model: QuantizedModel, folder: Path, options: ExportOptions) -> list[Path]:
    """Write `recipe.json` and `weights.safetensors` into a new folder."""
    save_quantized(model, folder)
    return sorted(path for path in folder.iterdir() if path.is_file())
