"""A small capture whose numbers can be worked out by hand, and the one that is bundled."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.records import Capture, Histogram, LayerRef, LayerStats, SamplingSpec, Shortcut
from workbench.captures import OpenCapture, bundled_capture

STEPS, BINS = 4, 64
EDGES = np.linspace(-8.0, 8.0, BINS + 1)


def layer_stats(widths: list[float], channels: int = 4, seed: int = 0) -> LayerStats:
    """Uniform values in [-width, width], one width a timestep."""
    random = np.random.default_rng(seed)
    values = [random.uniform(-w, w, (1000, channels)) for w in widths]
    return LayerStats(
        count=np.array([v.size for v in values]),
        min=np.array([v.min() for v in values]),
        max=np.array([v.max() for v in values]),
        mean=np.array([v.mean() for v in values]),
        std=np.array([v.std() for v in values]),
        histogram=Histogram(
            np.array([np.histogram(v, EDGES)[0] for v in values], dtype=np.uint32), EDGES
        ),
        channel_min=np.array([v.min(axis=0) for v in values], dtype=np.float32),
        channel_max=np.array([v.max(axis=0) for v in values], dtype=np.float32),
    )


def make_capture(names: tuple[str, str, str] = ("conv_in", "mid.linear", "up.shortcut")) -> Capture:
    """Three layers and the two halves of the last."""
    first, middle, last = names
    layers = (
        LayerRef(first, "conv", shape=(8, 1, 3, 3)),
        LayerRef(middle, "linear", shape=(8, 8)),
        LayerRef(last, "conv", shape=(8, 8, 1, 1)),
        LayerRef(f"{last}#h", "half", "h"),
        LayerRef(f"{last}#skip", "half", "skip"),
    )
    widths = ([4, 3, 2, 1], [1, 1, 1, 1], [7, 7, 7, 7], [7, 7, 7, 7], [0.5] * 4)
    return Capture(
        model="toy",
        model_digest="0" * 64,
        spec=SamplingSpec(STEPS, 2, 0, "ddim"),
        layers=layers,
        timesteps=np.array([750.0, 500.0, 250.0, 0.0]),
        stats=tuple(layer_stats(list(w), seed=i) for i, w in enumerate(widths)),
        shortcuts=(Shortcut(last, 4, 4),),
    )


@pytest.fixture
def toy() -> OpenCapture:
    return OpenCapture("capture-toy", make_capture())


@pytest.fixture(scope="session")
def bundled() -> OpenCapture:
    return bundled_capture()
