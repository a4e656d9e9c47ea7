"""Rows of a sweep: the Pareto front by brute force, files that survive, text for other programs."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.sweep_rows import (
    Cell,
    RowFolder,
    Sweep,
    SweepRow,
    csv_text,
    json_text,
    key_of,
    pareto_front,
    report_of,
)

GOOD = SweepRow("rtn", "W4A8", "own", 21.5, 0.9, math.inf, 1.5, 2.0, 4, 8, 0.5, 2.0, "instant")
BAD = SweepRow("eda-dm", "W4A8", "ndtc", error="It is, said the row, broken.\nIndeed.")
NUMBER = st.one_of(st.none(), st.just(math.nan), st.integers(-3, 3).map(float))


def beaten(i: int, costs: list, gains: list) -> bool:
    """By definition: another point is at least as good in both and better in one."""
    return any(
        costs[j] <= costs[i]
        and gains[j] >= gains[i]
        and (costs[j], gains[j]) != (costs[i], gains[i])
        for j in range(len(costs))
        if known(costs[j]) and known(gains[j])
    )


def known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


@given(st.lists(st.tuples(NUMBER, NUMBER), max_size=12))
def test_the_front_is_what_nothing_beats(points):
    costs, gains = [c for c, _ in points], [g for _, g in points]
    expected = [
        known(c) and known(g) and not beaten(i, costs, gains) for i, (c, g) in enumerate(points)
    ]
    assert pareto_front(costs, gains) == expected


def test_the_front_may_be_infinite():
    assert pareto_front([1.0, 2.0, 3.0], [5.0, math.inf, 7.0]) == [True, True, False]


def test_a_row_comes_back_from_its_file(tmp_path):
    folder = RowFolder(tmp_path / "rows")
    row = SweepRow("rtn", "W8A8", "own", 30.0, None, 5.0, 1.0, overrides={"a": "W8A8"})
    folder["key"] = row
    assert folder.get("key") == row
    assert folder.get("other") is None
    assert len(folder) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"method": "rtn"}', '{"unknown": 1}'])
def test_a_spoilt_file_counts_as_none(tmp_path, content):
    folder = RowFolder(tmp_path)
    (tmp_path / "key.json").write_text(content)
    assert folder.get("key") is None


def test_keys_tell_work_apart():
    assert key_of(a=1, b=[2]) == key_of(b=[2], a=1)
    assert len({key_of(a=1), key_of(a=2), key_of(b=1), key_of(a="1")}) == 4


def test_csv_is_read_back_by_pythons_reader():
    lines = list(csv.DictReader(io.StringIO(csv_text([GOOD, BAD]))))
    assert [line["method"] for line in lines] == ["rtn", "eda-dm"]
    assert float(lines[0]["psnr_db"]) == 21.5
    assert lines[0]["frechet"] == ""
    assert lines[1]["error"] == BAD.error


def test_json_holds_every_promised_key_and_no_infinity():
    done = Sweep("toy", (GOOD, BAD), (Cell("rtn", "W8A8", "own"),), 3.0, "budget")
    read = json.loads(json_text(report_of(done)), parse_constant=pytest.fail)
    for key in ("method", "plan", "calibration", "psnr_db", "ssim", "frechet", "seconds"):
        assert all(key in row for row in read["rows"])
    assert read["rows"][0]["frechet"] is None
    assert read["not_reached"] == [{"method": "rtn", "plan": "W8A8", "calibration": "own"}]


def test_a_multiplication_costs_the_product_of_its_bits():
    assert GOOD.product == 32
