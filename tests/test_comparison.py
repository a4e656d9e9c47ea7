"""Float against quantized: values against scikit-image, identity, and other batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from analysis.comparison import compare
from analysis.errors import Cancelled, UserError
from analysis.models.trajectory import sample, sampling_spec, trajectory
from analysis.quant.run import quantize

KEYS = {
    "samples",
    "steps",
    "psnr_db",
    "ssim",
    "sqnr_db",
    "divergence",
    "unseen_timesteps",
    "frechet_float",
    "frechet_quantized",
    "frechet_between",
    "seconds_float",
    "seconds_quantized",
}


@pytest.fixture(scope="module")
def rounded(ddpm, ddpm_capture):
    return quantize(ddpm, plan="W4A8", calibration=ddpm_capture)


@pytest.fixture(scope="module")
def done(ddpm, rounded):
    return compare(ddpm, rounded, samples=5, steps=4, seed=3)


def test_pictures_are_those_of_the_two_models(ddpm, rounded, done):
    spec = sampling_spec(ddpm, 4, 5, 3)
    assert done.spec == spec
    assert np.array_equal(done.reference, sample(ddpm, spec).numpy())
    assert np.array_equal(done.candidate, sample(rounded.handle, spec).numpy())
    assert set(done.values) == KEYS


def test_psnr_is_scikit_images(done):
    pairs = zip(done.reference.astype(np.float64), done.candidate.astype(np.float64), strict=True)
    expected = np.mean([peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs])
    assert done.values["psnr_db"] == pytest.approx(expected, rel=1e-6)


def test_ssim_is_scikit_images(done):
    expected = np.mean(
        [
            structural_similarity(
                a[0].astype(np.float64),
                b[0].astype(np.float64),
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for a, b in zip(done.reference, done.candidate, strict=True)
        ]
    )
    assert done.values["ssim"] == pytest.approx(expected, abs=1e-6)


def test_sqnr_is_of_the_samples_before_they_are_clamped(ddpm, rounded, done):
    x, x_q = (list(trajectory(m, done.spec))[-1].x_next for m in (ddpm, rounded.handle))
    noise = (x - x_q).double().square().sum().item()
    expected = 10 * math.log10(x.double().square().sum().item() / noise)
    assert done.values["sqnr_db"] == pytest.approx(expected, rel=1e-5)


def test_divergence_is_the_relative_distance_after_each_step(ddpm, rounded, done):
    pairs = zip(trajectory(ddpm, done.spec), trajectory(rounded.handle, done.spec), strict=True)
    expected = [
        ((b.x_next - a.x_next).double().norm() / a.x_next.double().norm()).item() for a, b in pairs
    ]
    assert len(done.values["divergence"]) == 4
    assert done.values["divergence"] == pytest.approx(expected, rel=1e-6)
    assert min(expected) > 0


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_the_batch_size_does_not_matter(ddpm, rounded, done, batch):
    other = compare(ddpm, rounded, samples=5, steps=4, seed=3, batch=batch)
    np.testing.assert_allclose(other.reference, done.reference, atol=1e-5)
    for key in ("psnr_db", "ssim", "sqnr_db"):
        assert other.values[key] == pytest.approx(done.values[key], rel=0.01), key
    assert other.values["divergence"] == pytest.approx(done.values["divergence"], rel=0.01)


@pytest.mark.parametrize("family", ["ddpm", "sd"])
def test_thirty_two_bits_change_nothing(models, family):
    model = models(family)
    same = quantize(model, plan="W32A32", edge_bits=32, softmax_bits=32)
    done = compare(model, same, samples=2, steps=3)
    assert np.array_equal(done.reference, done.candidate)
    assert done.values["psnr_db"] == math.inf
    assert done.values["sqnr_db"] == math.inf
    assert done.values["ssim"] == pytest.approx(1.0)
    assert done.values["divergence"] == [0.0] * 3


def test_fewer_bits_are_further_away(ddpm, ddpm_capture):
    eight, three = (
        compare(ddpm, quantize(ddpm, plan=p, calibration=ddpm_capture), samples=4, steps=4).values
        for p in ("W8A8", "W3A3")
    )
    for key in ("psnr_db", "ssim", "sqnr_db"):
        assert eight[key] > three[key], key
    assert all(a < b for a, b in zip(eight["divergence"], three["divergence"], strict=True))


def test_guidance_and_prompt_reach_both_models(sd):
    done = compare(
        sd,
        quantize(sd, plan="W4A32"),
        samples=2,
        steps=3,
        scheduler="euler",
        prompt="a cat",
        guidance_scale=3.0,
    )
    spec = sampling_spec(sd, 3, 2, 0, "euler", "a cat", 3.0)
    assert done.spec == spec
    assert np.array_equal(done.reference, sample(sd, spec).numpy())
    assert done.reference.shape == (2, 3, 16, 16)
    assert done.values["frechet_float"] is None


def test_a_scheduler_that_calls_twice_has_a_divergence_for_each_call(ddpm, rounded):
    done = compare(ddpm, rounded, samples=1, steps=4, scheduler="heun")
    assert len(done.values["divergence"]) == 7


def test_pictures_too_small_for_ssim_have_none(new_pipeline):
    from analysis.models.load import from_pipeline

    pipeline = new_pipeline("ddpm")
    pipeline.unet.register_to_config(sample_size=8)
    model = from_pipeline(pipeline)
    done = compare(model, quantize(model, plan="W4A32"), samples=2, steps=2)
    assert done.values["ssim"] is None
    assert done.values["psnr_db"] > 0


def test_progress_ends_at_its_total(ddpm, rounded):
    seen = []
    compare(ddpm, rounded, samples=3, steps=2, batch=2, progress=lambda *a: seen.append(a))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4]
    assert {total for _, total, _ in seen} == {4}


def test_it_stops_when_asked(ddpm, rounded):
    calls = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) == 3

    with pytest.raises(Cancelled):
        compare(ddpm, rounded, samples=1, steps=5, should_stop=stop)
    assert len(calls) == 3


@pytest.mark.parametrize(
    "bad",
    [
        {"samples": 0},
        {"steps": 0},
        {"steps": 10_000},
        {"seed": -1},
        {"scheduler": "nonsense"},
        {"prompt": "a cat"},
    ],
)
def test_arguments_that_make_no_sense_are_refused(ddpm, rounded, bad):
    def never(*args) -> None:
        raise AssertionError("sampling has begun")

    arguments = {"samples": 1, "steps": 2, **bad}
    with pytest.raises(UserError):
        compare(ddpm, rounded, **arguments, progress=never)
