"""PSNR and SSIM against scikit-image, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from analysis.errors import UserError
from analysis.metrics import psnr, ssim


def noisy(images: torch.Tensor, amount: float) -> torch.Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(3))
    return (images + amount * noise).clamp(0, 1)


def random_images(channels: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.rand(3, channels, size, size, generator=generator)


def photograph(channels: int) -> torch.Tensor:
    """[1, channels, 64, 96]: a real picture, not square."""
    picture = data.astronaut() if channels == 3 else data.camera()[:, :, None]
    part = picture[100:164, 200:296].astype(np.float32) / 255  # [64, 96, channels]
    return torch.from_numpy(part).permute(2, 0, 1)[None]


SETS = [random_images(1), random_images(3), photograph(1), photograph(3)]
IDS = ["random-1", "random-3", "photo-1", "photo-3"]


@pytest.mark.parametrize("reference", SETS, ids=IDS)
@pytest.mark.parametrize("amount", [0.02, 0.3])
def test_psnr_is_scikit_image_averaged_over_pictures(reference, amount):
    candidate = noisy(reference, amount)
    pairs = zip(reference.double().numpy(), candidate.double().numpy(), strict=True)
    expected = np.mean([peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs])
    assert psnr(reference, candidate) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("reference", SETS, ids=IDS)
@pytest.mark.parametrize("amount", [0.02, 0.3])
def test_ssim_is_scikit_image(reference, amount):
    candidate = noisy(reference, amount)
    pairs = zip(reference.double().numpy(), candidate.double().numpy(), strict=True)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = np.mean(
        [structural_similarity(a, b, data_range=1.0, channel_axis=0, **settings) for a, b in pairs]
    )
    assert ssim(reference, candidate) == pytest.approx(expected, abs=1e-9)


def test_psnr_averages_decibels_and_not_errors():
    reference = torch.zeros(2, 1, 4, 4)
    candidate = reference.clone()
    candidate[0] += 0.1  # 20 dB
    candidate[1] += 0.01  # 40 dB
    assert psnr(reference, candidate) == pytest.approx(30.0, abs=1e-5)


def test_equal_pictures():
    images = random_images(3)
    assert psnr(images, images) == math.inf
    assert ssim(images, images) == pytest.approx(1.0)


def test_nan_in_a_sample_gives_nan_and_not_a_good_score():
    images = random_images(1)
    broken = images.clone()
    broken[0, 0, 16, 16] = math.nan
    assert math.isnan(psnr(images, broken))
    assert math.isnan(ssim(images, broken))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_computed_in_double(dtype):
    reference = random_images(1).to(dtype)
    candidate = noisy(random_images(1), 0.1).to(dtype)
    for metric in (psnr, ssim):
        assert metric(reference, candidate) == metric(reference.double(), candidate.double())


def test_ssim_takes_the_window_and_refuses_one_pixel_less():
    assert ssim(random_images(1, 11), noisy(random_images(1, 11), 0.1)) < 1
    small = random_images(1, 10)
    with pytest.raises(UserError, match="at least 11x11 pixels, and these are 10x10"):
        ssim(small, small)


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        (torch.rand(2, 1, 16, 16), torch.rand(3, 1, 16, 16), "have the shapes"),
        (torch.rand(16, 16), torch.rand(16, 16), r"shape \[N, C, H, W\]"),
        (torch.rand(0, 1, 16, 16), torch.rand(0, 1, 16, 16), r"shape \[N, C, H, W\]"),
        (torch.rand(1, 1, 16, 16), torch.full((1, 1, 16, 16), -1.0), r"in \[0, 1\]"),
        (torch.rand(1, 1, 16, 16), torch.full((1, 1, 16, 16), 255.0), r"in \[0, 1\]"),
        (
            torch.ones(1, 1, 16, 16, dtype=torch.uint8),
            torch.ones(1, 1, 16, 16, dtype=torch.uint8),
            "divide bytes by 255",
        ),
    ],
)
def test_refuses_what_are_not_two_sets_of_pictures(metric, reference, candidate, message):
    with pytest.raises(UserError, match=message):
        metric(reference, candidate)
