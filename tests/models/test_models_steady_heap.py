"""What is left in the heap when tensors have come and gone, in fresh processes."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys

import pytest

from analysis.models.steady_heap import OWN

HEAP = """
import ctypes, json, sys
import torch
from analysis.models.steady_heap import keep_freed_memory

class Info(ctypes.Structure):  # mallinfo2 of malloc.h
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
        "uordblks", "fordblks", "keepcost")]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Info
done = keep_freed_memory() if sys.argv[1] == "kept" else None
before = mallinfo().arena
held = [torch.ones(8 * 2**18) for _ in range(10)]  # 8 MiB each
del held
print(json.dumps({"done": done, "grown_mb": (mallinfo().arena - before) / 2**20}))
"""
glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the heap of glibc 2.33 or later"
)


def process(how: str, **told: str) -> dict[str, float]:
    """What a process says that has not the thresholds of this one."""
    clean = {name: value for name, value in os.environ.items() if name not in OWN}
    out = subprocess.run(
        [sys.executable, "-c", HEAP, how], env=clean | told, capture_output=True, check=True
    )
    return json.loads(out.stdout)


@glibc
def test_memory_of_tensors_that_have_gone_is_kept() -> None:
    usual, kept = process("usual"), process("kept")
    assert kept["done"]
    assert kept["grown_mb"] >= 70
    assert usual["grown_mb"] < 10  # or this test could not fail


@glibc
def test_thresholds_of_the_user_stay() -> None:
    assert process("kept", MALLOC_TRIM_THRESHOLD_="131072")["done"] is False
