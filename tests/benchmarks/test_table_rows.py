"""Rows: all that is promised, in an order that makes a cut run useful."""

from __future__ import annotations

from itertools import product

import pytest

from benchmarks.table.claims import CLAIMS
from benchmarks.table.rows import METHODS, Row, float_row, table_rows


def test_every_method_at_every_plan(parts):
    rows = set(table_rows(parts))
    seeds = {"W8A8": (0, 1, 2), "W4A8": (0, 1, 2), "W6A6": (0,), "W4A32": (0,), "W4A4": (0,)}
    for method, (plan, wanted) in product(METHODS, seeds.items()):
        assert {Row(method, plan, "fast", seed) for seed in wanted} <= rows
    assert {float_row(seed) for seed in (0, 1, 2)} <= rows


def test_no_row_stands_there_twice(parts):
    rows = table_rows(parts)
    assert len(rows) == len(set(rows)) == len({row.slug for row in rows})


def test_the_first_nine_are_all_methods_at_the_plans_that_matter(parts):
    first = table_rows(parts)[:9]
    assert {(row.method, row.plan) for row in first} == {
        ("float", "W32A32"),
        *product(METHODS, ("W4A8", "W8A8")),
    }
    assert {row.seed for row in first} == {0}


def test_the_float_model_comes_before_what_is_compared_with_it(parts):
    rows = table_rows(parts)
    for seed in (0, 1, 2):
        mine = [row for row in rows if row.seed == seed]
        assert mine[0] == float_row(seed)


def test_plans_then_ablations_then_other_seeds(parts):
    rows = table_rows(parts)
    plans = [i for i, row in enumerate(rows) if row.plan == "W6A6"]
    ablations = [
        i for i, r in enumerate(rows) if r.without and r.preset == "fast" and r.plan == "W4A8"
    ]
    seeds = [i for i, row in enumerate(rows) if row.seed > 0]
    assert max(plans) < min(ablations) <= max(ablations) < min(seeds)


def test_each_part_is_left_out_once_at_w4a8(parts):
    left_out = [(r.method, r.without) for r in table_rows(parts) if r.without and r.plan == "W4A8"]
    assert sorted(left_out) == sorted((m, (part,)) for m, names in parts.items() for part in names)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.title)
def test_every_claim_has_its_rows(claim, parts):
    settings = {row.setting for row in table_rows(parts)}
    for pair in claim.pairs:
        assert {pair.first, pair.second} <= settings


def test_methods_that_are_missing_keep_their_main_rows():
    rows = table_rows({"rtn": ()})
    assert Row("eda-dm", "W4A8", seed=2) in rows
    assert not [row for row in rows if row.without]


def test_a_slug_is_a_file_name():
    row = Row("q-diffusion", "W4A4", "instant", 2, ("split", "adaround"), "ndtc")
    assert row.slug == "q-diffusion_W4A4_instant_seed2_without-split_without-adaround_on-ndtc"
    assert float_row(1).slug == "float_W32A32_seed1"
