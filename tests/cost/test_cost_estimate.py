"""Estimates against what the same work takes by a clock that only the denoiser moves."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

import analysis
from analysis.capture.run import capture, statistics_megabytes
from analysis.cost import Probes, check_fits
from analysis.cost.learners import walks_of
from analysis.errors import UserError
from analysis.methods import METHODS
from analysis.methods.method import make_config
from analysis.models.trajectory import sample, sampling_spec
from analysis.quant.blocks import units
from analysis.quant.plan import QuantPlan
from analysis.quant.reconstruct import Learned
from analysis.sweep_rows import SweepRow

EMPTY, EACH = 1_000_000, 10_000  # bytes, as the fake watch has them


@pytest.fixture
def foretold(ddpm, watched):
    """Estimates by the fake clock."""
    return lambda work, **arguments: analysis.estimate(
        ddpm, work, Probes(ddpm, watched), **arguments
    )


@pytest.mark.parametrize(("steps", "samples", "batch"), [(30, 5, 4), (3, 5, 4), (30, 1, 4)])
def test_capture_and_sampling_take_as_long_as_was_said(
    ddpm, foretold, spent, steps, samples, batch
):
    told = {"steps": steps, "samples": samples, "batch": batch}
    said = foretold("capture", **told)
    seconds, _ = spent(lambda: capture(ddpm, **told))
    assert said.seconds == pytest.approx(seconds)
    assert foretold("sample", **told).seconds == pytest.approx(seconds)


def test_memory_is_that_of_a_whole_batch_and_the_statistics(ddpm, foretold):
    said = foretold("capture", steps=30, samples=9, batch=4)
    kept = statistics_megabytes(ddpm, 30) * 1e6
    assert said.bytes == pytest.approx(EMPTY + 4 * EACH + kept, abs=1)
    assert said.more == said.bytes - EMPTY


def test_memory_does_not_grow_with_samples_but_for_pictures(foretold):
    few, many = (foretold("capture", steps=30, samples=n, batch=4) for n in (4, 400))
    assert few.bytes == many.bytes
    assert many.seconds == pytest.approx(100 * few.seconds)


def test_what_may_not_fit_is_not_tried_whole(ddpm, watched):
    watched.left = 6 * EACH
    said = analysis.estimate(ddpm, "sample", Probes(ddpm, watched), steps=30, samples=8, batch=8)
    assert max(watched.passes) == 2
    assert said.more == pytest.approx(8 * EACH, abs=8 * 16 * 16 * 4)
    with pytest.raises(UserError, match="more memory") as refused:
        check_fits(said, "press on")
    assert str(refused.value).endswith("or press on.")
    watched.left = 10**9
    fits = analysis.estimate(ddpm, "sample", Probes(ddpm, watched), steps=30, samples=8, batch=8)
    check_fits(fits, "")


def test_a_short_run_is_foretold_well_though_the_machine_is_noisy(ddpm, watched):
    """Passes of one sample happen to take as long as those of two: no more for more samples."""
    usual = watched.pass_of

    def noisy(rows):
        usual(rows)
        watched.now += 0.25 * (rows == 1)

    watched.pass_of = noisy
    said = Probes(ddpm, watched).sampling(sampling_spec(ddpm, 20, 16), Counter({16: 20}))
    assert said.rows == (1, 8)
    assert said.of({16: 20}) == pytest.approx(20 * (0.5 + 16 * 0.25), rel=0.1)


@pytest.mark.parametrize("sampler", ["ndtc", "timestep-uniform", "forward", "gaussian"])
def test_calibration_takes_as_long_as_was_said(ddpm, foretold, spent, sampler):
    told = {"sampler": sampler, "size": 12, "steps": 6, "batch": 4}
    seconds, _ = spent(lambda: analysis.calibrate(ddpm, **told))
    assert foretold("calibrate", **told).seconds == pytest.approx(seconds)


@pytest.mark.parametrize("method", ["rtn", "ptq4dm"])
def test_quantizing_takes_as_long_as_was_said(ddpm, foretold, spent, method):
    options = {} if method == "rtn" else {"calibration_size": 12, "calibration_steps": 6}
    said = foretold("quantize", method=method, plan="W8A8", **options)
    seconds, _ = spent(lambda: analysis.quantize(ddpm, method, "W8A8", **options))
    assert said.seconds == pytest.approx(seconds)


def test_weights_alone_need_no_pass(ddpm, foretold):
    assert foretold("quantize", plan="W4A32").seconds == 0


@pytest.mark.parametrize("last", [None, 90])
def test_iterations_of_every_unit_are_counted(ddpm, watched, monkeypatch, last):
    step = torch.optim.Adam.step

    def slow(self, *args, **kwargs):
        watched.now += 1.0
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", slow)
    said = analysis.estimate(
        ddpm,
        "quantize",
        Probes(ddpm, watched),
        method="q-diffusion",
        plan="W4A32",
        calibration_size=4,
        calibration_steps=2,
        weight_iterations=40,
        last_iterations=last,
        act_iterations=0,
        batch=2,
    )
    parts, count = dict(said.parts), len(units(ddpm))
    learning = 40 * (count - 1) + (last or 40)
    # The walk itself passes through the denoiser's parts once; only whole passes move the clock.
    assert parts["weights"] == pytest.approx(learning, rel=0.05)


def test_a_sweep_draws_what_rows_share_once(ddpm, foretold, spent):
    told = {"plans": ("W8A8", "W6A8"), "samples": 2, "steps": 25}
    said = foretold("sweep", methods=("rtn",), **told)
    names = [name for name, _ in said.parts]
    assert names.count("capture") == names.count("float pictures") == 1
    assert names.count("pictures") == 2
    one = foretold("sweep", methods=("rtn",), **told, budget=1e-3)
    assert one.seconds == 1e-3


def test_finished_rows_cost_nothing(ddpm, foretold):
    class Everything(dict):
        def get(self, key):
            return SweepRow("rtn", "W8A8", "own")

    said = foretold("sweep", plans=("W8A8",), samples=2, steps=3, known=Everything())
    assert said.seconds == 0


def test_comparing_samples_both(ddpm, foretold, spent):
    quantized = analysis.quantize(ddpm, plan="W8A32")
    told = {"samples": 2, "steps": 25}
    floating, _ = spent(lambda: sample(ddpm, sampling_spec(ddpm, **told)))
    assert dict(foretold("compare", quantized=quantized, **told).parts)["float"] == floating


LEARNED = {"method": "eda-dm", "calibration_size": 4, "calibration_steps": 2, "iterations": 30}


@pytest.mark.parametrize(
    ("work", "told"),
    [
        ("sample", {"steps": 30, "samples": 4}),
        ("capture", {"steps": 3, "samples": 2}),
        ("calibrate", {"sampler": "tdac", "size": 6, "steps": 3}),
        ("quantize", {"plan": "W4A8"}),
        ("quantize", {"plan": "W4A8", "batch": 2, **LEARNED}),
        ("sweep", {"plans": ("W8A8", "W4A8"), "samples": 2, "steps": 3}),
    ],
)
def test_an_estimate_tells_how_far_it_is(ddpm, watched, work, told):
    probes, heard = Probes(ddpm, watched), []
    said = analysis.estimate(ddpm, work, probes, lambda *words: heard.append(words), **told)
    done, totals = zip(*[words[:2] for words in heard], strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}  # at the end all of them were made, and no more
    heard.clear()
    again = analysis.estimate(ddpm, work, probes, lambda *words: heard.append(words), **told)
    assert (again.seconds, heard) == (said.seconds, [])  # all probes are kept


def test_an_unknown_work_is_named(ddpm):
    with pytest.raises(UserError, match="There is no kind of work named 'sampel'"):
        analysis.estimate(ddpm, "sampel")


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS.get(name).learns])
def test_the_walks_are_those_that_the_method_makes(ddpm, monkeypatch, method):
    made = []

    def reconstruct(handle, qparams, calibration, phase, *rest, **more):
        made.append((phase, any(grid.act is not None for grid in qparams.values())))
        return Learned({}, dict(qparams), [])

    monkeypatch.setattr("analysis.methods.learning.reconstruct", reconstruct)
    options = {"calibration_size": 4, "calibration_steps": 2}
    analysis.quantize(ddpm, method, "W4A8", preset="fast", **options)
    config = make_config(METHODS.get(method), "fast", options)
    plan = QuantPlan.parse("W4A8", **config.plan_options())
    assert made == [(walk.phase, walk.act) for walk in walks_of(method, config, plan)]
    assert made
