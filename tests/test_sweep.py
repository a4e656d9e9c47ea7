"""Sweeps: the numbers of a plain comparison, nothing done twice, failures kept."""

from __future__ import annotations

import pytest

import analysis
from analysis.comparison import compare
from analysis.errors import UserError
from analysis.quant.run import quantize
from analysis.sweep_rows import Cell

SMALL = {"samples": 2, "steps": 2, "seed": 3}


@pytest.fixture
def made(monkeypatch):
    """What the sweep has quantized, one entry each."""
    calls = []

    def counted(model, method, plan, *rest, **more):
        calls.append((method, plan))
        return quantize(model, method, plan, *rest, **more)

    monkeypatch.setattr("analysis.sweep_cell.quantize", counted)
    return calls


@pytest.fixture
def run(ddpm, ddpm_capture):
    """A sweep of the tiny model, with its capture for plain rounding."""

    def sweep(**changed):
        own = {"rtn": ddpm_capture}
        return analysis.sweep(ddpm, **{**SMALL, "own": own, "plans": ["W8A8", "w4a8"], **changed})

    return sweep


def test_a_row_has_the_numbers_of_a_comparison(ddpm, ddpm_capture, run):
    done = run()
    assert [row.cell for row in done.rows] == [Cell("rtn", p, "own") for p in ("W8A8", "W4A8")]
    assert (done.ended, done.not_reached) == ("whole", ())
    for row in done.rows:
        made = quantize(ddpm, "rtn", row.plan, ddpm_capture)
        values = compare(ddpm, made, 2, 2, 3).values
        assert row.psnr_db == pytest.approx(values["psnr_db"], rel=1e-6)
        assert row.ssim == pytest.approx(values["ssim"], rel=1e-6)
        assert row.frechet is None  # of pictures that the classifier does not know
        assert row.size_mb == made.size_bytes / 1e6
        assert row.seconds > 0
    assert done.rows[0].psnr_db > done.rows[1].psnr_db


def test_overrides_are_for_every_row(ddpm, ddpm_capture, run):
    overrides = {"conv_in": "W2A2"}
    (row,) = run(plans=["W8A8"], overrides=overrides).rows
    made = quantize(ddpm, "rtn", "W8A8", ddpm_capture, overrides=overrides)
    assert row.psnr_db == pytest.approx(compare(ddpm, made, 2, 2, 3).values["psnr_db"], rel=1e-6)
    assert row.overrides == overrides


def test_going_on_runs_nothing_twice(run, made):
    known, told = {}, []
    first = run(known=known, plans=["W8A8"])
    assert made == [("rtn", "W8A8")]
    both = run(known=known, on_row=told.append)
    assert made == [("rtn", "W8A8"), ("rtn", "W4A8")]
    again = run(known=known)
    assert len(made) == 2
    assert again.rows == both.rows == tuple(told)
    assert again.rows[0] == first.rows[0]


@pytest.mark.parametrize(
    "other", [{"seed": 4}, {"samples": 1}, {"steps": 1}, {"overrides": {"conv_in": "W4A4"}}]
)
def test_rows_of_other_settings_are_others(run, made, other):
    known = {}
    run(known=known, plans=["W8A8"])
    run(known=known, plans=["W8A8"], **other)
    assert len(made) == 2


def test_rows_of_another_calibration_are_others(ddpm, run, made):
    known = {}
    run(known=known, plans=["W8A8"])
    run(known=known, plans=["W8A8"], own={"rtn": analysis.capture(ddpm, steps=2, samples=1)})
    assert len(made) == 2


def test_a_set_is_drawn_once_for_all_rows_that_share_it(ddpm, run, monkeypatch):
    from analysis.methods.calibrated import draw

    drawn = []

    def counted(handle, config, job):
        drawn.append(config.sampler)
        return draw(handle, config, job)

    monkeypatch.setattr("analysis.sweep_calibrations.draw", counted)
    done = run(methods=["rtn", "ptq4dm"], calibrations=["own", "ndtc"])
    assert drawn == ["ndtc"]  # what PTQ4DM draws itself, too
    values = {(row.cell.plan, row.calibration, row.method): row.psnr_db for row in done.rows}
    assert len(values) == 8
    assert values["W8A8", "own", "ptq4dm"] == values["W8A8", "ndtc", "ptq4dm"]
    assert values["W4A8", "own", "rtn"] != values["W4A8", "ndtc", "rtn"]


def test_what_calibrates_on_nothing_runs_once(run, made):
    done = run(plans=["W4A32"], calibrations=["own", "ndtc", "tdac"])
    assert [row.cell for row in done.rows] == [Cell("rtn", "W4A32", "none")]
    assert len(made) == 1


def test_a_row_that_fails_says_why_and_the_others_go_on(run, ddpm_capture, made):
    known = {}
    given = {"calibrations": ["capture"], "sets": {"capture": ddpm_capture}, "known": known}
    done = run(methods=["ptq4dm", "rtn"], plans=["W8A8"], **given)
    bad, good = done.rows
    assert bad.error.startswith("PTQ4DM is calibrated on a calibration set")
    assert (bad.psnr_db, bad.size_mb) == (None, None)
    assert good.error is None
    assert len(known) == 1
    run(methods=["ptq4dm", "rtn"], plans=["W8A8"], **given)
    assert made == [("ptq4dm", "W8A8"), ("rtn", "W8A8"), ("ptq4dm", "W8A8")]  # tried again


def test_an_unexpected_fault_costs_one_row(run, monkeypatch):
    def broken(model, method, plan, *rest, **more):
        if plan == "W8A8":
            raise RuntimeError("no kernel\nmore words")
        return quantize(model, method, plan, *rest, **more)

    monkeypatch.setattr("analysis.sweep_cell.quantize", broken)
    first, second = run().rows
    assert first.error == "It failed unexpectedly (RuntimeError: no kernel)."
    assert second.error is None


def test_a_sweep_whose_every_run_fails_is_an_error(run, ddpm_capture):
    told = []
    with pytest.raises(UserError, match=r"Every run of the sweep failed; the first, ptq4dm W8A8,"):
        run(
            methods=["ptq4dm"],
            calibrations=["capture"],
            sets={"capture": ddpm_capture},
            on_row=told.append,
        )
    assert len(told) == 2


def test_a_budget_that_is_over_at_once_runs_one_row(run, made):
    known = {}
    done = run(budget=1e-9, known=known)
    assert done.ended == "budget"
    assert [row.plan for row in done.rows] == ["W8A8"]
    assert done.not_reached == (Cell("rtn", "W4A8", "own"),)
    done = run(budget=1e-9, known=known)
    assert [row.plan for row in done.rows] == ["W8A8", "W4A8"]
    assert len(made) == 2


def test_a_row_that_overruns_the_budget_is_given_up(run, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("analysis.budget.time.monotonic", lambda: now[0])

    def slow(model, method, plan, *rest, **more):
        now[0] += 0 if plan == "W8A8" else 100
        return quantize(model, method, plan, *rest, **more)

    monkeypatch.setattr("analysis.sweep_cell.quantize", slow)
    done = run(budget=50)
    assert [row.plan for row in done.rows] == ["W8A8"]
    assert done.ended == "budget"


def test_stopping_keeps_what_is_finished(run):
    told = []
    done = run(on_row=told.append, should_stop=lambda: bool(told))
    assert done.ended == "cancelled"
    assert done.rows == tuple(told)
    assert [cell.plan for cell in done.not_reached] == ["W4A8"]


def test_progress_only_grows_and_ends_whole(run):
    told = []
    run(progress=lambda *now: told.append(now))
    shares = [done for done, _, _ in told]
    assert shares == sorted(shares)
    assert {total for _, total, _ in told} == {200}
    assert shares[-1] == 200
    assert "row 2 of 2, rtn W4A8: sampling" in [text for _, _, text in told]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"methods": ["rtm"]}, "There is no method named 'rtm'"),
        ({"plans": ["W9A9"]}, "bits must be 2 to 8"),
        ({"plans": ["8"]}, "Cannot read the plan '8'"),
        ({"plans": []}, "A sweep needs at least one method, one plan and one calibration"),
        ({"calibrations": ["nothing"]}, "There is no calibration 'nothing'; choose among: own, "),
        ({"preset": "slow"}, "There is no preset 'slow'"),
        ({"overrides": {"nowhere*": "W8A8"}}, "The override 'nowhere\\*' matches none"),
        ({"budget": -1}, "The budget must be a number of seconds above 0"),
        ({"samples": 0}, "samples must be a whole number of 1 or more"),
    ],
)
def test_names_that_make_no_sense_are_noticed_before_anything_runs(run, made, changed, sentence):
    with pytest.raises(UserError, match=sentence):
        run(**changed)
    assert made == []
