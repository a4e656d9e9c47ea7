"""What a model is made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from analysis.commands.options import Device, Json, Model, Steps
from analysis.console import number, say, table


def info(
    model: Model = "fashion",
    device: Device = "auto",
    steps: Steps = 50,
    as_json: Json = False,
) -> None:
    """Layers, shortcuts, size and memory of a model."""
    import analysis
    from analysis.capture.run import statistics_megabytes

    handle = analysis.load_model(model, device)
    values: dict[str, Any] = {
        "model": handle.name,
        "parameters": handle.parameters,
        "size_mb": handle.parameters * handle.dtype.itemsize / 1e6,
        "memory_mb": {
            "weights": handle.parameters * handle.dtype.itemsize / 1e6,
            f"statistics_{steps}_steps": statistics_megabytes(handle, steps),
        },
        "sample_shape": list(handle.sample_shape),
        "layers": [
            {"name": layer.name, "kind": layer.kind, "shape": list(layer.shape)}
            for layer in handle.layers
        ],
        "shortcuts": [asdict(shortcut) for shortcut in handle.shortcuts],
    }
    rows = [["layer", "kind", "shape"]]
    rows += [[r["name"], r["kind"], "x".join(map(str, r["shape"]))] for r in values["layers"]]
    head = f"{handle.name}: {handle.parameters:,} parameters, {number(values['size_mb'], 'MB')}"
    cuts = [f"{s.layer}: {s.channels_h} + {s.channels_skip}" for s in handle.shortcuts]
    say(values, as_json, [head, *table(rows), "shortcuts (h + skip channels):", *cuts])
