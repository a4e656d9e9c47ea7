"""What integer kernels take, and why a layer of another plan cannot be given to one.

The rules are those of 8-bit kernels on CPUs as OpenVINO has them: unsigned 8-bit activations with
a zero point, signed 8-bit weights without one, per output channel. Fewer bits run in the same
kernels: their integers are a part of the 8-bit ones, and nothing gets faster by it. (Weights stored
as INT4 load in OpenVINO and ONNX Runtime, but OpenVINO then multiplies them in float.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import UserError
from analysis.quant.model import QuantizedModel
from analysis.quant.qparams import LayerQParams, QParams

PLAN = "W8A8"
FEATURES = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}


@dataclass(frozen=True)
class IntegerRow:
    """Whether an integer kernel can compute a layer, and why not or with what remark."""

    name: str
    integer: bool
    why: str  # empty where there is nothing to say


def int8_options() -> dict[str, Any]:
    """Options for `analysis.quantize(model, plan=PLAN, ...)` that integer kernels can take.

    Weights are symmetric, activations unsigned. x_t keeps 16 bits, so the first convolution stays
    float: with 8 bits its error comes back at every step (docs/quantization.md).

    >>> sorted(int8_options())
    ['act_symmetric', 'input_bits', 'softmax_bits', 'weight_symmetric']
    """
    return {"weight_symmetric": True, "act_symmetric": False, "input_bits": 16, "softmax_bits": 8}


def profile_options(profile: str) -> dict[str, Any]:
    """The options of a profile by its name; there is `int8`.

    Raises:
        UserError: for another name.
    """
    if profile != "int8":
        raise UserError(f"There is no profile {profile!r}; the only one is int8.")
    return int8_options()


def integer_kernels(model: QuantizedModel) -> list[IntegerRow]:
    """What can run in integers, in execution order: every layer, then its attention's products.

    A product of attention is called `NAME#scores` (q k^T) or `NAME#values` (softmax v).
    """
    rows = []
    for layer in model.layers:
        module, _, tap = layer.name.partition("#")
        if not tap:
            rows.append(_layer(layer.name, model.qparams.get(layer.name, LayerQParams())))
        elif tap == "softmax":
            rows.append(_product(f"{module}#scores", module, ("q", "k"), model.qparams))
            rows.append(_product(f"{module}#values", module, ("softmax", "v"), model.qparams))
    return rows


def has_symmetric_weights(model: QuantizedModel) -> bool:
    """Whether every weight that is quantized has the grid that integer kernels want."""
    grids = [grids.weight for grids in model.qparams.values() if grids.weight is not None]
    return bool(grids) and not any(_weight_trouble(grid) for grid in grids)


def cpu_note(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """A sentence where this CPU multiplies 8-bit integers no faster than floats; else `None`."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return None
    line = next((x for x in lines if x.startswith(("flags", "Features"))), None)
    if line is None or set(line.split()) & FEATURES:
        return None
    return (
        "This CPU has no instructions for 8-bit products (VNNI): int8 runs, but slower than it "
        "could, and may be slower than float."
    )


def _layer(name: str, grids: LayerQParams) -> IntegerRow:
    why = _weight_trouble(grids.weight) or _act_trouble(grids.act, "its input")
    if why:
        return IntegerRow(name, False, why)
    assert grids.weight is not None
    assert grids.act is not None
    return IntegerRow(name, True, _remark(grids.weight, grids.act))


def _product(
    name: str, module: str, taps: tuple[str, str], qparams: Mapping[str, LayerQParams]
) -> IntegerRow:
    for tap in taps:
        why = _act_trouble(qparams.get(f"{module}#{tap}", LayerQParams()).act, tap)
        if why:
            return IntegerRow(name, False, why)
    return IntegerRow(name, True, "")


def _weight_trouble(grid: QParams | None) -> str:
    if grid is None:
        return "its weight is float"
    if not bool(np.all(grid.zero_point == 2 ** (grid.bits - 1))):
        return "its weight is asymmetric, and integer kernels take weights without a zero point"
    return ""


def _act_trouble(grid: QParams | None, what: str) -> str:
    if grid is None:
        return f"{what} is float"
    if grid.bits > 8:
        return f"{what} has {grid.bits} bits, and integer kernels take 8"
    return ""


def _remark(weight: QParams, act: QParams) -> str:
    said = []
    narrow = [
        f"{n} of {g.bits} bits" for n, g in (("weight", weight), ("input", act)) if g.bits < 8
    ]
    if narrow:
        said.append(f"{' and '.join(narrow)} in an 8-bit kernel, no faster than 8 bits")
    if weight.seam is not None or act.seam is not None:
        said.append("as two products, one for each half of its input")
    return "; ".join(said)
