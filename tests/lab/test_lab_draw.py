"""Sets of the lab: the library's own, held against the same runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.calibration import calibrate, calibration_digest
from analysis.capture.features import middle, output_of
from analysis.errors import Cancelled, UserError
from analysis.lab.draw import HELD_OUT_SEED, Sampling, draw_set, landscape
from analysis.lab.effect import hold_out
from analysis.models.trajectory import sampling_spec, trajectory


def test_the_set_is_the_one_that_calibrate_draws(ddpm, drawn):
    again = calibrate(ddpm, "timestep-uniform", 6, 1, 3, with_report=False, shared_runs=True)
    assert calibration_digest(drawn.calibration) == calibration_digest(again)


def test_samplers_that_cannot_share_runs_have_their_own(ddpm, land):
    found = draw_set(ddpm, land, "random", 3)
    again = calibrate(ddpm, "random", 3, 0, 3, with_report=False)
    assert calibration_digest(found.calibration) == calibration_digest(again)


def test_the_landscape_holds_the_runs_of_a_seed_of_its_own(ddpm, land):
    spec = sampling_spec(ddpm, 3, 16, HELD_OUT_SEED)
    with output_of(ddpm.denoiser, middle(ddpm.denoiser)) as latest:
        for step in trajectory(ddpm, spec):
            mean = latest[0].flatten(2).mean(dim=2).numpy()  # [n, C]
            np.testing.assert_allclose(land.vectors[step.index], mean, atol=1e-5)
            assert land.timesteps[step.index] == step.timestep
    assert land.vectors.shape[:2] == (3, 16)
    assert land.diversity.shape == land.density.shape == (3,)


def test_vectors_are_the_features_of_the_samples(ddpm, drawn):
    x, t = torch.from_numpy(drawn.calibration.x_t), torch.from_numpy(drawn.calibration.t)
    with output_of(ddpm.denoiser, middle(ddpm.denoiser)) as latest, torch.no_grad():
        ddpm.denoiser(x, t)
        expected = latest[0].flatten(2).mean(dim=2).numpy()
    np.testing.assert_allclose(drawn.vectors, expected, atol=1e-5)


def test_coverage_counts_balls_that_hold_a_sample(land, drawn):
    """Brute force: the ball of a held-out vector reaches its third nearest fellow of the step."""
    covered = []
    for own in land.vectors.astype(np.float64):
        for i, vector in enumerate(own):
            fellows = np.sort([np.linalg.norm(vector - o) for j, o in enumerate(own) if j != i])
            nearest = min(np.linalg.norm(vector - s) for s in drawn.vectors.astype(np.float64))
            covered.append(nearest <= fellows[2] * (1 + 1e-6))
    assert drawn.calibration.report.coverage == pytest.approx(np.mean(covered))


def test_runs_are_sampled_as_the_capture_was(sd):
    how = Sampling("euler", "a b", 3.0)
    land = landscape(sd, 2, how)
    found = draw_set(sd, land, "random", 2, seed=1).calibration
    told = {"scheduler": "euler", "prompt": "a b", "guidance_scale": 3.0}
    again = calibrate(sd, "random", 2, 1, 2, with_report=False, **told)
    assert calibration_digest(found) == calibration_digest(again)
    held = hold_out(sd, 2, how, runs=1)
    assert Sampling.of(held.samples.spec) == how
    assert land.timesteps.tolist() == held.samples.timesteps.tolist()


def test_nonsense_is_one_sentence_and_stop_stops(ddpm, land):
    with pytest.raises(UserError, match="needs one sample at each of 3 steps, but size is 2"):
        draw_set(ddpm, land, "timestep-uniform", 2)
    with pytest.raises(UserError, match="no calibration sampler named 'nope'"):
        draw_set(ddpm, land, "nope", 2)
    with pytest.raises(Cancelled):
        landscape(ddpm, 3, should_stop=lambda: True)
