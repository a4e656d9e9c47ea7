"""Small models and statistics that the tests of quantization share."""

from __future__ import annotations

import numpy as np
import pytest
from diffusers import DDIMPipeline, DDIMScheduler

from analysis.models.load import from_pipeline
from analysis.records import ActivationStats, Histogram
from tests.conftest import tiny_unet

# For what takes long: the second family is a slow test.
ddpm_first = pytest.mark.parametrize("family", ["ddpm", pytest.param("sd", marks=pytest.mark.slow)])


def tiny_handle(seed: int = 0):
    scheduler = DDIMScheduler(num_train_timesteps=100)
    return from_pipeline(DDIMPipeline(tiny_unet(seed), scheduler), f"tiny{seed}")


def stats_of(x, bins: int = 1024) -> ActivationStats:
    """Statistics of a tensor with a histogram of all its values."""
    values = np.asarray(x, dtype=np.float64).reshape(-1)
    low, high = float(values.min()), float(values.max())
    pad = 1e-9 if low == high else 0.0
    counts, edges = np.histogram(values, bins=bins, range=(low - pad, high + pad))
    ends = np.array([low]), np.array([high])
    return ActivationStats(
        values.size, low, high, values.mean(), values.std(), Histogram(counts, edges), *ends
    )


def distributions(size: int = 60_000) -> dict[str, np.ndarray]:
    """Values such as diffusion models produce."""
    random = np.random.default_rng(0)
    normal = random.standard_normal(size)
    return {
        "gaussian": normal,
        "laplace": random.laplace(size=size),
        "silu": normal / (1 + np.exp(-normal)),
        "heavy tail": random.standard_t(3, size=size),
        "two humps": np.concatenate([normal[: size // 2] * 10, normal[size // 2 :] * 0.5 + 3]),
        "never negative": np.abs(normal) + 0.5,
    }


@pytest.fixture(scope="session")
def handle():
    return tiny_handle()


@pytest.fixture(scope="session")
def other_handle():
    return tiny_handle(seed=1)


@pytest.fixture(scope="session")
def tiny_capture(handle):
    from analysis.capture.run import capture

    return capture(handle, steps=3, samples=4, seed=0, exact=True)


@pytest.fixture(scope="session", params=list(distributions(1)))
def values(request):
    return distributions()[request.param].astype(np.float32)


@pytest.fixture(scope="session")
def make_stats():
    return stats_of
