"""One HTML file that says and shows what quantization did; it opens without a network."""

from __future__ import annotations

from pathlib import Path

from analysis.atomic import write_whole
from analysis.export import EXPORTS, ExportOptions
from analysis.quant.model import QuantizedModel
from analysis.report import build_report

REPORT = "report.html"


@EXPORTS.register("report")
def export_report(model: QuantizedModel, folder: Path, options: ExportOptions) -> list[Path]:
    """Sample float and quantized from the same noise and write `report.html`.

    Raises:
        UserError: for samples, steps or a seed that make no sense, or a float model that is not
            the one it was made from.
    """
    from analysis.comparison import compare
    from analysis.models.load import load_model

    handle = options.model or load_model(model.handle.name)
    done = compare(
        handle, model, options.samples, options.steps, options.seed, progress=options.progress
    )
    path = folder / REPORT
    write_whole(path, build_report(model, done).encode())
    return [path]
