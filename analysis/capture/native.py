"""The kernels of the folder `c`, compiled once where there is a C compiler.

Without one, or with `WORKBENCH_NATIVE=0`, torch's own operators do the same work in several
passes; what they find differs in the last digits of float32 at most.
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
from typing import Any

import torch

FOLDER = Path(__file__).with_name("c")
SOURCES, HEADERS = (sorted(FOLDER.glob(f"*.{kind}")) for kind in "ch")
# Lets comparing and summing go many values at a time. Not -ffast-math: a library linked with it
# flushes tiny numbers to zero in the whole process, and so changes what the model computes.
_REORDERED = ("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math")
_FINITE = ("-ffinite-math-only", "-fno-math-errno")
FLAGS = ("-O3", "-march=native", *_REORDERED, *_FINITE, "-shared", "-fPIC")


TABLES, MOST_THREADS = 4, 256  # tables of counts for each thread

_pointer, _whole, _real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class CMoments(ctypes.Structure):
    """`Moments` of team.h."""

    _fields_ = (
        *((name, _pointer) for name in ("low", "high", "sum", "square")),
        *((name, _real) for name in ("center", "next_center", "far")),
        ("decided", _whole),
    )


class CColumns(ctypes.Structure):
    """`Columns` of team.h."""

    _fields_ = (
        *((name, _pointer) for name in ("count", "mean", "m2", "low", "high", "counts")),
        *((name, _whole) for name in ("steps", "channels", "bins", "begun", "exponent")),
        *((name, _real) for name in ("inverse", "start", "reach_low", "reach_high")),
        *((name, _real) for name in ("least", "greatest")),
    )


class CView(ctypes.Structure):
    """`View` of team.h."""

    _fields_ = (
        *((name, _whole) for name in ("samples", "channels", "size", "planes")),
        *((name, _whole) for name in ("first", "last", "drawn")),
        *((name, _pointer) for name in ("positions", "columns", "moments", "attention", "next")),
    )


class CTeam(ctypes.Structure):
    """`Team` of team.h."""

    _fields_ = (
        ("parallel", _pointer),
        ("number", _pointer),
        ("threads", _whole),
        *(
            (name, _pointer)
            for name in ("low", "high", "sum", "square", "tables", "picked", "room")
        ),
        ("span", _whole),
    )


class CAttention(ctypes.Structure):
    """`Attention` of softmax.h."""

    _fields_ = (
        *((name, _pointer) for name in ("q", "k")),
        *((name, _whole) for name in ("heads", "rows", "length", "depth")),
        *((f"q_{name}", _whole) for name in ("sample", "head", "row")),
        *((f"k_{name}", _whole) for name in ("sample", "head", "row")),
        ("scale", _real),
    )


@lru_cache(maxsize=1)
def kernel() -> ctypes.CDLL | None:
    """The compiled kernels, or `None` where they cannot be had."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None or os.environ.get("WORKBENCH_NATIVE") == "0":
        return None
    try:
        library = ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, subprocess.SubprocessError):
        return None
    library.observe.argtypes = [_pointer, _pointer, _pointer, _whole, _pointer]
    library.observe.restype = ctypes.c_int
    library.attend.argtypes = [_pointer, _pointer, _pointer]
    library.attend.restype = None
    library.room_of.argtypes, library.room_of.restype = [_pointer], _whole
    return library


@lru_cache(maxsize=1)
def openmp() -> tuple[int, int] | None:
    """Addresses of `GOMP_parallel` and `omp_get_thread_num` in torch's own OpenMP library.

    `None` where it has another: one thread does the work then, for a second team would take the
    cores from the first.
    """
    for path in (Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*"):
        try:
            library = ctypes.CDLL(str(path))  # a symbol is looked up in what it depends on, too
            return _address(library.GOMP_parallel), _address(library.omp_get_thread_num)
        except (OSError, AttributeError):
            continue
    return None


def crew() -> tuple[int | None, int | None, int]:
    """`openmp()` and how many threads to ask of it; one where there is none."""
    found = openmp()
    if found is None:
        return None, None, 1
    return *found, min(torch.get_num_threads(), MOST_THREADS)


def _address(function: Any) -> int:
    return int(ctypes.cast(function, _pointer).value or 0)


def _compiled(compiler: str) -> Path:
    """The library's file; its name tells source, flags and processor, so none is ever stale."""
    key = hashlib.sha256(b"".join(source.read_bytes() for source in (*SOURCES, *HEADERS)))
    key.update(" ".join((compiler, *FLAGS, _processor())).encode())
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = folder / "quantization-workbench" / f"capture-{key.hexdigest()[:16]}.so"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            built = Path(scratch) / "capture.so"
            command = [compiler, *FLAGS, "-o", str(built), *map(str, SOURCES), "-lm"]
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
