"""Records on disk: found again while the code is the same, and only then."""

from __future__ import annotations

import math
import os
from dataclasses import replace

from benchmarks.table.rows import Row
from benchmarks.table.store import read_record, write_record

ROW = Row("rtn", "W4A8", "fast", 1, ("split",), "ndtc")


def test_a_record_comes_back_as_it_was(tmp_path, make, settings):
    record = make(ROW, 20.5, None)
    write_record(tmp_path, record, "code")
    assert read_record(tmp_path, ROW, settings, "code") == record


def test_what_is_infinite_becomes_nothing(tmp_path, make, settings):
    write_record(tmp_path, make(ROW, math.inf, math.nan), "code")
    found = read_record(tmp_path, ROW, settings, "code")
    assert found.values["psnr_db"] is None
    assert found.values["frechet"] is None


def test_older_code_is_refused(tmp_path, make, settings):
    write_record(tmp_path, make(ROW, 20.0), "old")
    assert read_record(tmp_path, ROW, settings, "new") is None


def test_older_code_is_kept_on_demand_and_marked(tmp_path, make, settings):
    first = write_record(tmp_path, make(ROW, 20.0), "older")
    os.utime(first, (1, 1))
    write_record(tmp_path, make(ROW, 21.0), "old")
    found = read_record(tmp_path, ROW, settings, "new", keep_stale=True)
    assert (found.values["psnr_db"], found.stale) == (21.0, True)
    write_record(tmp_path, make(ROW, 22.0), "new")
    found = read_record(tmp_path, ROW, settings, "new", keep_stale=True)
    assert (found.values["psnr_db"], found.stale) == (22.0, False)


def test_other_settings_and_rows_are_never_taken(tmp_path, make, settings):
    write_record(tmp_path, make(ROW, 20.0), "code")
    for other in (replace(settings, samples=9), replace(settings, model_digest="another")):
        assert read_record(tmp_path, ROW, other, "code", keep_stale=True) is None
    for other in (replace(ROW, seed=2), replace(ROW, without=()), replace(ROW, calibration=None)):
        assert read_record(tmp_path, other, settings, "code", keep_stale=True) is None


def test_a_spoilt_file_counts_as_none(tmp_path, make, settings):
    path = write_record(tmp_path, make(ROW, 20.0), "code")
    whole = path.read_text()
    for content in (whole[:-10], "[]", "{}", "null"):
        path.write_text(content)
        assert read_record(tmp_path, ROW, settings, "code") is None
        assert read_record(tmp_path, ROW, settings, "other", keep_stale=True) is None
