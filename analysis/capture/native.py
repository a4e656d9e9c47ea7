"""The one-pass kernels of `moments.c`, compiled once where there is a C compiler.

Without a compiler, or with `WORKBENCH_NATIVE=0`, torch's own reductions do the same work in four
passes; nothing else changes.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from analysis.records import Array

SOURCE = Path(__file__).with_name("moments.c")
# Lets comparing and summing go many values at a time. Not -ffast-math: a library linked with it
# flushes tiny numbers to zero in the whole process, and so changes what the model computes.
_REORDERED = ("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math")
_FINITE = ("-ffinite-math-only", "-fno-math-errno")
FLAGS = ("-O3", "-march=native", *_REORDERED, *_FINITE, "-shared", "-fPIC")


@lru_cache(maxsize=1)
def kernel() -> ctypes.CDLL | None:
    """The compiled kernels, or `None` where it cannot be had."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None or os.environ.get("WORKBENCH_NATIVE") == "0":
        return None
    try:
        return _typed(ctypes.CDLL(str(_compiled(compiler))))
    except (OSError, subprocess.SubprocessError):
        return None


def moments(
    library: ctypes.CDLL, address: int, shape: tuple[int, int, int], planes: bool, center: float
) -> tuple[Array, Array]:
    """Least and greatest, float32 [2, C]; sum and sum of squares about `center`, float64 [2, C].

    Args:
        address: of contiguous float32 values, [N, C, M] with `planes`, else [N, M, C].
        shape: (N, C, M).
    """
    samples, channels, size = shape
    extremes = np.empty((2, channels), dtype=np.float32)
    sums = np.empty((2, channels), dtype=np.float64)
    low, total = extremes.ctypes.data, sums.ctypes.data
    out = (low, low + 4 * channels, total, total + 8 * channels)
    if planes:
        library.moments_planes(address, samples, channels, size, center, *out)
    else:
        library.moments_rows(address, samples * size, channels, center, *out)
    return extremes, sums


class Drawn:
    """Values of a tensor on the host that are to be counted where they lie.

    `x` is contiguous float32; `positions`, int64 [n], are in the flattened tensor.
    """

    __slots__ = ("library", "positions", "x")

    def __init__(self, library: ctypes.CDLL, x: torch.Tensor, positions: Array) -> None:
        self.library, self.x, self.positions = library, x, positions

    def count(self, inverse: float, start: int, counts: Array) -> None:
        """Add to `counts`, uint32 [B], how many values lie in each bin of width 1 / inverse."""
        address, positions = self.x.data_ptr(), self.positions.ctypes.data
        n, out = self.positions.size, counts.ctypes.data
        self.library.count_drawn(address, positions, n, inverse, start, out)


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    real, double = ctypes.c_float, ctypes.c_double
    library.moments_planes.argtypes = [pointer, size, size, size, real, *[pointer] * 4]
    library.moments_rows.argtypes = [pointer, size, size, real, *[pointer] * 4]
    library.count_drawn.argtypes = [pointer, pointer, size, double, double, pointer]
    for function in (library.moments_planes, library.moments_rows, library.count_drawn):
        function.restype = None
    return library


def _compiled(compiler: str) -> Path:
    """The library's file; its name tells source, flags and processor, so none is ever stale."""
    key = hashlib.sha256(SOURCE.read_bytes())
    key.update(" ".join((compiler, *FLAGS, _processor())).encode())
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = folder / "quantization-workbench" / f"moments-{key.hexdigest()[:16]}.so"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            built = Path(scratch) / "moments.so"
            command = [compiler, *FLAGS, "-o", str(built), str(SOURCE)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            os.replace(built, target)
    return target


def _processor() -> str:
    """What decides which instructions may be used: a home folder may serve several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.platform() + platform.processor()
    return platform.machine() + next((line for line in lines if line.startswith("flags")), "")
