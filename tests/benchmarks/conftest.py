"""Records made up for the tests of what is computed from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.table.rows import float_row
from benchmarks.table.store import Record, Settings

PARTS = {
    "rtn": (),
    "ptq4dm": ("calibration", "range-search"),
    "q-diffusion": ("calibration", "split", "adaround", "act-scales"),
    "eda-dm": ("tdac", "calibration", "fbr", "qdrop", "split", "adaround", "act-scales"),
}
MADE = {"commit": "abc1234", "python": "3", "torch": "2", "diffusers": "1", "threads": "2"}


@pytest.fixture
def parts():
    return PARTS


@pytest.fixture
def settings():
    return Settings(model_digest="d1gest", samples=8, steps=2)


@pytest.fixture
def make(settings):
    """A record of a row with a PSNR and a Frechet distance."""

    def record(row, psnr_db=None, frechet=None, **seconds) -> Record:
        values = {"psnr_db": psnr_db, "ssim": 0.5, "sqnr_db": 10.0, "frechet": frechet}
        spent = {"calibrate": 1.0, "quantize": 2.0, "sample": 3.0, **seconds}
        return Record(row, settings, {**values, "file_bytes": 2_000_000}, spent, made=MADE)

    return record


@pytest.fixture
def make_seeds(make):
    """Records of a setting, one for each of some (PSNR, Frechet distance)."""

    def records(row, *pairs) -> list[Record]:
        return [make(replace(row, seed=i), *pair) for i, pair in enumerate(pairs)]

    return records


@pytest.fixture
def float_records(make_seeds):
    """The float model at Frechet distance 1.0 under three seeds."""
    return make_seeds(float_row(), (None, 1.0), (None, 1.0), (None, 1.0))
