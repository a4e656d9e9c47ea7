"""The Frechet distance against its closed form, and the bundled statistics of the data."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from analysis.errors import UserError
from analysis.metrics import METRICS, FeatureStatistics, frechet_distance, frechet_to_data
from analysis.metrics import frechet as module
from analysis.metrics.frechet import load_fashion_extractor, load_fashion_reference


def exact_statistics(mean: np.ndarray, covariance: np.ndarray, count: int) -> FeatureStatistics:
    """The sums that a set of exactly this mean and sample covariance would have."""
    outer = (count - 1) * covariance + count * np.outer(mean, mean)
    return FeatureStatistics(torch.from_numpy(count * mean), torch.from_numpy(outer), count)


def closed_form(mean_a, covariance_a, mean_b, covariance_b) -> float:
    root = scipy.linalg.sqrtm(covariance_a @ covariance_b).real
    gap = mean_a - mean_b
    return float(gap @ gap + np.trace(covariance_a + covariance_b - 2 * root))


def gaussian(seed: int, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    factor = random.normal(size=(width, width))
    return random.normal(size=width), factor @ factor.T + 0.1 * np.eye(width)


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equals_the_closed_form(seed):
    a, b = gaussian(seed), gaussian(seed + 100)
    value = frechet_distance(exact_statistics(*a, 50), exact_statistics(*b, 7))
    assert value == pytest.approx(closed_form(*a, *b), rel=1e-9)


def test_one_dimension_by_hand():
    # (1 - 4)^2 + (2 - 5)^2 for standard deviations 2 and 5
    a = exact_statistics(np.array([1.0]), np.array([[4.0]]), 10)
    b = exact_statistics(np.array([4.0]), np.array([[25.0]]), 10)
    assert frechet_distance(a, b) == pytest.approx(18.0)


def test_mean_and_covariance_are_those_of_numpy():
    features = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) + 3
    statistics = FeatureStatistics.from_features(features)
    np.testing.assert_allclose(statistics.mean, features.double().mean(dim=0))
    np.testing.assert_allclose(statistics.covariance, np.cov(features.double().numpy().T))


def test_a_set_is_at_no_distance_from_itself_even_with_fewer_pictures_than_features():
    statistics = FeatureStatistics.from_images(pictures(20), load_fashion_extractor())
    assert 0 <= frechet_distance(statistics, statistics) < 1e-5


def test_batches_add_up():
    extractor = load_fashion_extractor()
    whole = FeatureStatistics.from_images(pictures(7), extractor, batch=7)
    parts = FeatureStatistics.from_images(pictures(7), extractor, batch=3)
    assert parts.count == whole.count == 7
    torch.testing.assert_close(parts.total, whole.total, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(parts.outer, whole.outer, rtol=1e-5, atol=1e-6)


def test_save_and_load(tmp_path):
    statistics = FeatureStatistics.from_features(torch.randn(9, 4))
    statistics.save(tmp_path / "set.safetensors")
    again = FeatureStatistics.load(tmp_path / "set.safetensors")
    assert torch.equal(again.total, statistics.total)
    assert torch.equal(again.outer, statistics.outer)
    assert again.count == 9
    assert [path.name for path in tmp_path.iterdir()] == ["set.safetensors"]


@pytest.mark.parametrize("few", [0, 1])
def test_refuses_fewer_than_two_pictures(few):
    many = FeatureStatistics.from_features(torch.randn(9, 4))
    lone = FeatureStatistics.from_features(torch.randn(few, 4))
    with pytest.raises(UserError, match="needs at least 2 pictures a side"):
        frechet_distance(many, lone)


def test_refuses_features_of_different_widths():
    a = FeatureStatistics.from_features(torch.randn(9, 4))
    b = FeatureStatistics.from_features(torch.randn(9, 5))
    with pytest.raises(UserError, match="4 and 5 features"):
        frechet_distance(a, b)


def test_nan_gives_nan_and_not_a_crash():
    broken = pictures(4)
    broken[0, 0, 0, 0] = math.nan
    assert math.isnan(METRICS.get("frechet")(pictures(4), broken))


def test_refuses_pictures_of_another_kind():
    with pytest.raises(UserError, match=r"for pictures \[N, 1, 32, 32\], not \[2, 3, 32, 32\]"):
        frechet_to_data(torch.rand(2, 3, 32, 32))
    with pytest.raises(UserError, match=r"in \[0, 1\]"):
        frechet_to_data(2 * pictures(4))


def test_missing_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"no reference\.safetensors in"):
        load_fashion_reference()


def test_the_reference_is_the_training_set():
    reference = load_fashion_reference()
    assert reference.count == 60_000
    assert reference.total.dtype == reference.outer.dtype == torch.float64
    assert torch.linalg.eigvalsh(reference.covariance).min() > -1e-9


def test_noise_is_farther_from_the_data_than_a_garment():
    # A crude shirt: a bright block with sleeves, at several brightnesses.
    shirts = torch.zeros(16, 1, 32, 32)
    shirts[:, :, 6:28, 10:22] = 1
    shirts[:, :, 7:14, 5:27] = 1
    shirts *= torch.linspace(0.3, 1, 16)[:, None, None, None]
    assert frechet_to_data(shirts) < frechet_to_data(pictures(16))
