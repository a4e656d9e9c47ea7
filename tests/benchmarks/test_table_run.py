"""Running rows: measured truly, resumed where they stopped, within the budget."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import analysis
from analysis.metrics import frechet_to_data, psnr, ssim
from analysis.models.load import from_pipeline
from analysis.models.trajectory import sample, sampling_spec, trajectory
from benchmarks.table import calibrations, loop, measure
from benchmarks.table.command import main
from benchmarks.table.loop import expected, run_rows
from benchmarks.table.one_row import Bench, run_row
from benchmarks.table.rows import Row, float_row
from benchmarks.table.store import Settings

RTN, OTHER = Row("rtn", "W4A8"), Row("rtn", "W8A8")


@pytest.fixture(scope="module")
def model(new_pipeline):
    """Tiny and random, but with pictures of the size that has a Frechet distance."""
    pipeline = new_pipeline("ddpm")
    pipeline.unet.register_to_config(sample_size=32)
    return from_pipeline(pipeline, "tiny")


@pytest.fixture
def bench(model, tmp_path):
    return Bench(model, Settings("tiny", model.digest, samples=4, steps=2), tmp_path)


@pytest.fixture
def small_sets(monkeypatch):
    monkeypatch.setattr(calibrations, "SIZE", 6)
    monkeypatch.setattr(calibrations, "STEPS", 3)


@pytest.fixture
def faked(make, bench, settings):
    """Rows that cost nothing; those in `broken` raise what it says, and all calls are noted."""
    calls, broken = [], {}

    def run(_, row):
        calls.append(row)
        if row in broken:
            raise broken[row]
        made = make(row, 20.0, 1.0)
        return type(made)(**{**vars(made), "settings": bench.settings})

    run.calls, run.broken = calls, broken
    return run


def test_a_row_measures_the_models_own_pictures(bench, model):
    record = run_row(bench, RTN)
    quantized = analysis.quantize(model, plan="W4A8", preset="fast", input_bits=16)
    spec = sampling_spec(model, 2, 4, measure.NOISE_SEED)
    float_pictures, pictures = sample(model, spec), sample(quantized.handle, spec)
    expected_values = {
        "psnr_db": psnr(float_pictures, pictures),
        "ssim": ssim(float_pictures, pictures),
        "frechet": frechet_to_data(pictures),
    }
    found = {name: record.values[name] for name in expected_values}
    assert found == pytest.approx(expected_values, rel=1e-3)
    assert set(record.seconds) == {"calibrate", "quantize", "save", "float", "sample", "measure"}
    assert record.values["file_bytes"] > quantized.size_bytes / 4


def test_one_step_sqnr_is_over_all_held_out_inputs(bench, model):
    record = run_row(bench, RTN)
    quantized = analysis.quantize(model, plan="W4A8", preset="fast", input_bits=16)
    spec = sampling_spec(model, 2, measure.HELD_OUT_SAMPLES, measure.HELD_OUT_SEED)
    power = noise = 0.0
    for step in trajectory(model, spec):
        with torch.no_grad():
            found = quantized.handle.denoiser(step.x_t, step.timestep).sample
        power += step.noise_pred.double().square().sum().item()
        noise += (found - step.noise_pred).double().square().sum().item()
    assert record.values["sqnr_db"] == pytest.approx(10 * math.log10(power / noise), abs=0.01)


def test_float_pictures_are_drawn_once(bench, monkeypatch):
    record = run_row(bench, float_row())
    first = measure.float_pictures(bench.folder, bench.model, bench.settings, 0)
    monkeypatch.setattr(measure, "sample", None)  # sampling again would fail
    again = measure.float_pictures(bench.folder, bench.model, bench.settings, 0)
    assert torch.equal(first, again)
    assert record.values["frechet"] == pytest.approx(frechet_to_data(first))
    assert record.values.get("psnr_db") is None


def test_pictures_of_another_model_are_not_taken(bench, new_pipeline):
    first = measure.float_pictures(bench.folder, bench.model, bench.settings, 0)
    other = Settings("tiny", "another", samples=4, steps=2)
    path = next(bench.folder.glob("float-*.safetensors"))
    before = path.read_bytes()
    assert torch.equal(measure.float_pictures(bench.folder, bench.model, other, 0), first)
    assert path.read_bytes() != before
    path.write_bytes(before[:100])  # and a spoilt file is drawn again
    assert torch.equal(measure.float_pictures(bench.folder, bench.model, other, 0), first)


def test_seeds_have_noise_of_their_own_and_models_share_it(bench, model):
    zero, one = (measure.pictures(model, bench.settings, seed) for seed in (0, 1))
    assert not torch.equal(zero, one)
    assert torch.equal(zero, measure.float_pictures(bench.folder, model, bench.settings, 0))


def test_rows_of_a_seed_share_their_calibration(bench, model):
    first, again, other = (
        calibrations.calibration_for(bench.folder, model, row)
        for row in (RTN, OTHER, Row("rtn", "W4A8", seed=1))
    )
    assert (again.name, again.seconds) == (first.name, first.seconds)
    assert again.calibration.timesteps.tolist() == first.calibration.timesteps.tolist()
    assert other.name != first.name


def test_methods_share_a_set_of_the_same_options(bench, model):
    def name(*row, **more) -> str:
        return calibrations.calibration_for(bench.folder, model, Row(*row, "instant", **more)).name

    uniform = name("q-diffusion", "W4A8")
    assert name("q-diffusion", "W4A32") == uniform
    assert name("eda-dm", "W4A8", without=("tdac",)) == uniform
    assert name("q-diffusion", "W4A8", without=("calibration",)) != uniform
    assert name("q-diffusion", "W4A8", seed=1) != uniform


def test_changed_code_draws_a_calibration_again(bench, model, monkeypatch):
    before = calibrations.calibration_for(bench.folder, model, RTN).name
    monkeypatch.setattr(calibrations, "loaded_digest", lambda name: "changed")
    assert calibrations.calibration_for(bench.folder, model, RTN).name != before


def test_what_rounds_weights_alone_needs_none(bench, model):
    row = Row("rtn", "W4A32")
    assert calibrations.calibration_for(bench.folder, model, row) == calibrations.Drawn()


def test_named_sets_differ_in_their_timesteps_alone(bench, model, small_sets):
    sets = {
        name: calibrations.calibration_for(
            bench.folder, model, Row("rtn", "W8A8", calibration=name)
        ).calibration
        for name in calibrations.CALIBRATIONS
    }
    assert {found.size for found in sets.values()} == {6}
    assert len(np.unique(sets["one-timestep"].t)) == 1
    assert sets["timestep-uniform"].counts.tolist() == [2, 2, 2]


def test_finished_rows_are_not_run_again(bench, faked):
    for _ in range(2):
        run_rows(bench, [RTN, OTHER], run=faked)
    assert faked.calls == [RTN, OTHER]


def test_an_interrupted_run_resumes_where_it_stopped(bench, faked):
    faked.broken[OTHER] = KeyboardInterrupt()
    third = Row("rtn", "W6A6")
    assert run_rows(bench, [RTN, OTHER, third], run=faked).interrupted
    assert faked.calls == [RTN, OTHER]
    faked.broken.clear()
    assert not run_rows(bench, [RTN, OTHER, third], run=faked).interrupted
    assert faked.calls == [RTN, OTHER, OTHER, third]


def test_a_row_that_fails_does_not_stop_the_others(bench, faked):
    faked.broken[RTN] = RuntimeError("diverged")
    outcome = run_rows(bench, [RTN, OTHER], run=faked)
    assert outcome.failed == {RTN: "RuntimeError: diverged"}
    assert bench.record(RTN) is None
    assert bench.record(OTHER) is not None


def test_rows_of_methods_that_are_missing_are_not_run(bench, faked):
    run_rows(bench, [Row("no-such-method", "W4A8"), RTN], run=faked)
    assert faked.calls == [RTN]


def test_changed_code_runs_a_row_again(bench, faked, monkeypatch):
    run_rows(bench, [RTN], run=faked)
    monkeypatch.setattr("benchmarks.table.one_row.loaded_digest", lambda method: "changed")
    monkeypatch.setattr(loop, "loaded_digest", lambda method: "changed")
    assert bench.record(RTN) is None
    stale = Bench(bench.model, bench.settings, bench.folder, keep_stale=True)
    assert stale.record(RTN).stale
    run_rows(stale, [RTN], run=faked)
    assert len(faked.calls) == 1
    run_rows(bench, [RTN], run=faked)
    assert len(faked.calls) == 2
    assert not stale.record(RTN).stale


def test_the_budget_ends_before_a_row_that_would_not_fit(bench, faked):
    def after(budget_s):
        ticks = iter(range(0, 1000, 4))  # each look at the clock is 4 s later
        return run_rows(bench, [RTN, OTHER], budget_s, faked, lambda: next(ticks))

    assert after(0).over_budget
    assert faked.calls == []
    # The first guess is 30 s and a little; after it a row like it is known to take 2 + 3 s.
    assert after(36).over_budget is False
    assert faked.calls == [RTN, OTHER]


def test_what_is_expected_comes_from_rows_alike(make, settings):
    learned = Row("q-diffusion", "W4A8")
    guess = expected(learned, {}, settings)
    assert guess > 180
    assert expected(RTN, {}, settings) < guess
    done = {learned: make(learned, calibrate=40.0, quantize=100.0, sample=80.0)}
    assert expected(Row("q-diffusion", "W8A8"), done, settings) == 180.0  # drawn already
    assert expected(Row("q-diffusion", "W4A8", seed=1), done, settings) == 220.0
    assert expected(float_row(), done, settings) == 80.0


def table(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


def test_the_command_writes_the_document_and_resumes(folders, tmp_path, capsys):
    out, runs = tmp_path / "results.md", tmp_path / "runs"
    shared = ("--model", folders("ddpm"), "--samples", 2, "--steps", 2, "--runs", runs)
    assert table(*shared, "--out", out, "--rows", "rtn_W4A32*") == 0
    assert "| W4A32 | rtn | 1 |" in out.read_text()
    assert "0 rows are finished, 1 are to be run" in capsys.readouterr().err
    assert table(*shared, "--out", out, "--rows", "*_W4A32_*", "--budget", 0) == 0
    assert "1 rows are finished" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_meet_and_share_what_is_finished(folders, tmp_path):
    out, runs = tmp_path / "results.md", tmp_path / "runs"
    shared = ("--model", folders("ddpm"), "--samples", 2, "--steps", 2, "--runs", runs)
    assert table(*shared, "--out", out, "--rows", "rtn_W?A32*", "--jobs", 2) == 0
    names = [path.name.split(".")[0] for path in runs.glob("rtn*.json")]
    assert sorted(names) == ["rtn_W4A32_fast_seed0"]
    assert "| W4A32 | rtn | 1 |" in out.read_text()


def test_a_row_that_another_process_has_finished_is_not_run(bench, faked):
    second = Bench(bench.model, bench.settings, bench.folder)

    def run(given, row):
        if row == RTN:  # meanwhile the other one, which began at the end, does OTHER
            run_rows(second, [OTHER], run=faked)
        return faked(given, row)

    run_rows(bench, [RTN, OTHER], run=run)
    assert faked.calls == [OTHER, RTN]


def test_the_command_lists_rows_without_a_model(capsys):
    assert table("--list", "--rows", "rtn_W4A8*seed0", "--model", "nonsense") == 0
    assert capsys.readouterr().out.split() == ["rtn_W4A8_fast_seed0"]


@pytest.mark.parametrize(
    "wrong", [("--rows", "nonsense"), ("--samples", 0), ("--steps", 0), ("--model", "nonsense")]
)
def test_a_mistake_is_one_line(wrong, tmp_path, capsys):
    assert table("--runs", tmp_path, "--out", tmp_path / "out.md", *wrong) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out.md").exists()
