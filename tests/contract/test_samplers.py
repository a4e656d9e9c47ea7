"""What every registered calibration sampler promises."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from analysis.calibration import SAMPLERS, calibrate, calibration_digest
from analysis.calibration.samplers.sampler import CalibrationSampler
from analysis.errors import Cancelled, UserError

names = pytest.mark.parametrize("name", list(SAMPLERS))
STEPS = 5


@pytest.fixture(scope="module")
def sets(ddpm):
    made = {}

    def draw(name: str, seed: int = 0):
        if (name, seed) not in made:
            made[name, seed] = calibrate(ddpm, name, 13, seed, STEPS)
        return made[name, seed]

    return draw


@names
def test_it_is_frozen_and_declared(name):
    kind = SAMPLERS.get(name)
    assert issubclass(kind, CalibrationSampler)
    assert is_dataclass(kind)
    assert kind.__doc__
    for field in fields(kind):
        assert field.metadata["help"], field.name
    with pytest.raises(AttributeError):
        kind().weights = None


@names
@pytest.mark.parametrize("num_steps", [1, 2, 7, 50])
def test_weights_are_one_for_each_step(name, num_steps):
    random = np.random.default_rng(0)
    features = [random.standard_normal((2, 3, 2, 2)) for _ in range(num_steps)]
    weights = SAMPLERS.get(name)().weights(num_steps, features)
    assert weights.shape == (num_steps,)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert weights.sum() > 0


@names
@pytest.mark.parametrize("size", [50, 51, 256])
def test_steps_are_exactly_as_many_as_asked_for_and_seeded(name, size):
    random = np.random.default_rng(0)
    features = [random.standard_normal((2, 3, 2, 2)) for _ in range(50)]
    sampler = SAMPLERS.get(name)()
    steps = sampler.steps(50, size, features, seed=3)
    assert steps.shape == (size,)
    assert steps.min() >= 0
    assert steps.max() < 50
    assert np.array_equal(steps, sampler.steps(50, size, features, seed=3))
    if not sampler.allocated:
        assert not np.array_equal(steps, sampler.steps(50, size, features, seed=4))


@names
def test_a_set_has_exactly_the_promised_contents(ddpm, sets, name):
    found = sets(name)
    assert found.x_t.shape == (13, *ddpm.sample_shape)
    assert found.x_t.dtype == np.float32
    assert np.isfinite(found.x_t).all()
    assert set(found.t) <= set(found.timesteps)
    assert found.counts.sum() == found.size == 13
    assert (np.diff(found.t) <= 0).all()
    assert (found.sampler, found.seed, found.model_digest) == (name, 0, ddpm.digest)
    report = found.report
    for column in (report.density, report.diversity, report.coverage_per_step, found.counts):
        assert column.shape == (STEPS,)
        assert np.isfinite(column).all()
    json.dumps(dict(found.options), allow_nan=False)


@names
def test_the_same_seed_gives_the_same_set(ddpm, sets, name):
    again = calibrate(ddpm, name, 13, 0, STEPS, with_report=False)
    assert calibration_digest(again) == calibration_digest(sets(name))
    assert calibration_digest(sets(name, 1)) != calibration_digest(sets(name))


@names
def test_it_changes_nothing_about_the_model(ddpm, sets, name):
    digest = ddpm.digest
    sets(name)
    assert type(ddpm)(ddpm.name, ddpm.pipeline).digest == digest
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in ddpm.denoiser.modules())


@names
def test_it_reports_progress_and_stops_when_asked(ddpm, name):
    seen = []

    def progress(done: int, total: int, text: str) -> None:
        assert 0 <= done <= total
        assert text
        seen.append(done)

    calibrate(ddpm, name, 6, 0, STEPS, progress=progress)
    assert seen
    with pytest.raises(Cancelled):
        calibrate(ddpm, name, 6, 0, STEPS, should_stop=lambda: True)


@names
@pytest.mark.parametrize("size", [0, -3, 2.5, True])
def test_sizes_that_make_no_sense_are_refused(ddpm, name, size):
    with pytest.raises(UserError, match="size must be a whole number of 1 or more samples"):
        calibrate(ddpm, name, size, 0, STEPS)
