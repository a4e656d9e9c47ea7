"""Spreads, differences, claims and goals from made-up numbers whose answers are plain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.table.claims import CLAIMS, judge, overall
from benchmarks.table.goals import goals
from benchmarks.table.groups import average, difference, excess_cut, grouped, spread
from benchmarks.table.rows import METHODS, Row, float_row

WHOLE, EDA = Row("q-diffusion", "W4A8"), Row("eda-dm", "W4A8")
ROUNDED = Row("q-diffusion", "W4A8", without=("adaround",))
CALIBRATION, SPLIT, RESCUE, AS_GOOD = CLAIMS


def outcome(claim, position, records) -> str:
    return judge(claim, grouped(records))[position].outcome


def test_mean_and_spread_are_numpys(make_seeds):
    groups = grouped(make_seeds(WHOLE, (20.0, 1.0), (21.0, 1.5), (24.0, 1.0)))
    assert average(groups, WHOLE, "psnr_db") == pytest.approx(np.mean([20, 21, 24]))
    assert spread(groups, WHOLE, "psnr_db") == pytest.approx(np.std([20, 21, 24], ddof=1))
    assert spread(groups, ROUNDED, "psnr_db") is None


def test_a_difference_is_paired_by_seed(make_seeds):
    groups = grouped(
        [
            *make_seeds(WHOLE, (20.0, 2.0), (30.0, 3.0), (40.0, 4.0)),
            *make_seeds(ROUNDED, (19.0, 2.5), (28.0, 3.5)),
        ]
    )
    psnr, frechet = (difference(groups, WHOLE, ROUNDED, m) for m in ("psnr_db", "frechet"))
    assert (psnr.gain, psnr.seeds) == (1.5, 2)
    assert psnr.noise == pytest.approx(np.std([1, 2], ddof=1))
    assert (frechet.gain, frechet.noise) == (0.5, 0.0)  # less is better


def test_one_seed_is_judged_by_the_spread_of_the_whole_method(make_seeds):
    whole = make_seeds(WHOLE, (20.0, 1.0), (22.0, 1.0), (24.0, 1.0))
    groups = grouped([*whole, *make_seeds(ROUNDED, (19.0, 1.0))])
    found = difference(groups, WHOLE, ROUNDED, "psnr_db")
    assert (found.gain, found.noise, found.seeds, found.sign) == (1.0, 2.0, 1, 0)


def test_two_single_seeds_have_no_known_noise(make_seeds):
    groups = grouped([*make_seeds(WHOLE, (20.0, 1.0)), *make_seeds(ROUNDED, (19.0, 1.0))])
    found = difference(groups, WHOLE, ROUNDED, "psnr_db")
    assert (found.noise, found.sign) == (None, 1)


def test_the_excess_removed_is_a_share_above_float(make_seeds, float_records):
    records = [*float_records, *make_seeds(WHOLE, (30, 1.5)), *make_seeds(ROUNDED, (20, 3.0))]
    assert excess_cut(grouped(records), WHOLE, ROUNDED, float_row()) == pytest.approx(0.75)


def test_nothing_is_removed_where_there_is_no_excess(make_seeds, float_records):
    records = [*float_records, *make_seeds(WHOLE, (30, 0.9)), *make_seeds(ROUNDED, (20, 1.0))]
    assert excess_cut(grouped(records), WHOLE, ROUNDED, float_row()) is None


@pytest.mark.parametrize(
    ("whole", "without", "expected"),
    [
        ((25.0, 1.5), (20.0, 2.0), "held"),  # better in both
        ((25.0, 2.0), (20.0, 2.0), "held"),  # better in one, equal in the other
        ((20.0, 2.0), (25.0, 1.5), "not held"),  # worse in both
        ((25.0, 2.0), (20.0, 1.5), "not held"),  # the metrics disagree
        ((25.0, 2.0), (25.0, 2.0), "within the noise"),
    ],
)
def test_the_split_helps_or_not(make, whole, without, expected):
    instant = Row("q-diffusion", "W4A4", "instant")
    records = [make(instant, *whole), make(replace(instant, without=("split",)), *without)]
    assert outcome(SPLIT, 0, records) == expected


def test_a_gain_below_the_spread_is_noise(make_seeds):
    instant = Row("q-diffusion", "W4A4", "instant")
    without = Row("q-diffusion", "W4A4", "instant", without=("split",))
    pairs = make_seeds(without, (20, 2), (20, 2), (20, 2))
    steady = make_seeds(instant, (21.0, 2), (21.5, 2), (20.9, 2))
    unsteady = make_seeds(instant, (25.0, 2), (17.0, 2), (21.0, 2))
    assert outcome(SPLIT, 0, [*pairs, *steady]) == "held"
    assert outcome(SPLIT, 0, [*pairs, *unsteady]) == "within the noise"


@pytest.mark.parametrize(("frechet", "expected"), [(1.4, "held"), (1.6, "not held")])
def test_a_rescue_removes_half_of_the_excess(make, float_records, frechet, expected):
    records = [*float_records, make(WHOLE, 25.0, frechet), make(ROUNDED, 20.0, 2.0)]
    assert outcome(RESCUE, 0, records) == expected


@pytest.mark.parametrize(
    ("eda", "q_diffusion", "expected"),
    [
        ((25.0, 1.5), (25.0, 1.5), "held"),
        ((26.0, 1.5), (25.0, 1.6), "held"),
        ((24.0, 1.5), (25.0, 1.5), "not held"),
    ],
)
def test_as_good_means_not_worse(make_seeds, eda, q_diffusion, expected):
    records = [*make_seeds(EDA, *[eda] * 3), *make_seeds(WHOLE, *[q_diffusion] * 3)]
    assert outcome(AS_GOOD, 0, records) == expected


def test_as_good_forgives_what_is_within_the_noise(make_seeds):
    records = make_seeds(WHOLE, (25, 1.5), (25, 1.5), (25, 1.5))
    records += make_seeds(EDA, (24, 1.5), (26, 1.5), (24.9, 1.5))
    assert outcome(AS_GOOD, 0, records) == "held"


def test_missing_rows_decide_nothing(make):
    assert outcome(AS_GOOD, 0, [make(EDA, 20.0, 1.0)]) == "not known yet"
    assert overall(judge(AS_GOOD, {})) == "not known yet"


def test_comparisons_that_the_table_does_not_have_are_left_out():
    first = SPLIT.pairs[0]
    assert [v.pair for v in judge(SPLIT, {}, {first.first, first.second, WHOLE})] == [first]


def test_a_claim_sums_up_its_comparisons(make):
    calibration = CLAIMS[0]
    ptq4dm, q_diffusion = calibration.pairs[2:]

    def found(pair, psnr_db):
        return [make(pair.first, psnr_db, 2.0), make(pair.second, 20.0, 2.0)]

    def summary(*records):
        return overall(judge(calibration, grouped(r for some in records for r in some)))

    better, worse = found(ptq4dm, 25.0), found(q_diffusion, 15.0)
    assert summary(better, found(q_diffusion, 25.0)) == "held, 2 not known yet"
    assert summary(better, worse) == "held in 1 of 2 comparisons, 2 not known yet"
    assert summary(worse) == "not held, 3 not known yet"
    assert summary(found(ptq4dm, 20.0)) == "not held (within the noise), 3 not known yet"


def found(records, title, method):
    (goal,) = [g for g in goals(grouped(records)) if title in g.title and g.method == method]
    return goal


@pytest.mark.parametrize(
    ("frechet", "expected"), [(1.04, "reached"), (1.06, "not reached"), (0.94, "not reached")]
)
def test_near_float_is_five_percent_of_the_mean(make_seeds, float_records, frechet, expected):
    pairs = [(30.0, frechet - 0.2), (30.0, frechet), (30.0, frechet + 0.2)]
    goal = found([*float_records, *make_seeds(Row("rtn", "W8A8"), *pairs)], "within", "rtn")
    assert goal.outcome == expected
    assert goal.found == pytest.approx(frechet - 1)


@pytest.mark.parametrize(
    ("psnr_db", "frechet", "cut", "gain"),
    [
        (24.1, 1.29, "reached", "reached"),
        (23.9, 1.29, "reached", "not reached"),
        (24.1, 1.31, "not reached", "reached"),
    ],
)
def test_w4a8_goals(make_seeds, float_records, psnr_db, frechet, cut, gain):
    records = [*float_records, *make_seeds(Row("rtn", "W4A8"), *[(20.0, 2.0)] * 3)]
    records += make_seeds(EDA, *[(psnr_db, frechet)] * 3)
    assert found(records, "excess", "eda-dm").outcome == cut
    assert found(records, "PSNR", "eda-dm").outcome == gain


def test_a_goal_waits_for_all_seeds(make_seeds, float_records):
    goal = found([*float_records, *make_seeds(Row("rtn", "W8A8"), (30, 1.0))], "within", "rtn")
    assert (goal.outcome, goal.seeds, goal.found) == ("not known yet", 1, 0.0)


def test_no_excess_to_remove_is_not_a_goal_reached(make_seeds, float_records):
    records = [*float_records, *make_seeds(Row("rtn", "W4A8"), *[(20.0, 0.9)] * 3)]
    goal = found([*records, *make_seeds(EDA, *[(30.0, 0.8)] * 3)], "excess", "eda-dm")
    assert (goal.found, goal.outcome) == (None, "not reached")


def test_every_method_has_its_goals():
    listed = [(g.title.split(":")[0], g.method) for g in goals({})]
    assert [m for plan, m in listed if plan == "W8A8"] == list(METHODS)
    assert [m for plan, m in listed if plan == "W4A8"] == ["q-diffusion", "eda-dm"] * 2
