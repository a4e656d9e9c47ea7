"""Files that visitors bring: small ones that would become huge are refused unread."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy

from analysis.capture.store import save_capture
from analysis.errors import UserError
from workbench.uploads import check_upload


def with_header(path, header) -> None:
    content = safetensors.numpy.save(
        {"counts": np.zeros(4, dtype=np.uint8)}, {"header": json.dumps(header)}
    )
    path.write_bytes(content)


def test_a_capture_that_would_fill_the_memory_is_refused(tmp_path):
    path = tmp_path / "bomb.safetensors"
    with_header(path, {"deflated": {"counts": ["uint32", [100_000, 1_000, 512]]}})
    with pytest.raises(UserError, match=r"^This capture would take 190\.7 GB of memory, and 1 GB"):
        check_upload(path)


def test_what_it_weighs_is_what_numpy_says(tmp_path):
    path = tmp_path / "small.safetensors"
    with_header(path, {"deflated": {"a": ["float64", [3, 5]], "b": ["uint8", [7]]}})
    check_upload(path, most=3 * 5 * 8 + 7)
    with pytest.raises(UserError):
        check_upload(path, most=3 * 5 * 8 + 6)


@pytest.mark.parametrize("header", [[], {}, {"deflated": 3}, {"deflated": {"a": ["nope", [1]]}}])
def test_what_is_no_capture_is_left_to_the_reader(tmp_path, header):
    path = tmp_path / "other.safetensors"
    with_header(path, header)
    check_upload(path)
    path.write_bytes(b"nothing")
    check_upload(path)
    check_upload(tmp_path / "missing")


def test_a_real_capture_passes(tmp_path, bundled):
    check_upload(save_capture(bundled.capture, tmp_path / "real.safetensors"))
