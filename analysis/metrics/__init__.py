"""Numbers for "how much did quantizing change": each `(reference, candidate) -> float`."""

from analysis.metrics.frechet import (
    FeatureStatistics,
    frechet_distance,
    frechet_to_data,
    load_fashion_extractor,
    load_fashion_reference,
)
from analysis.metrics.image import psnr, ssim
from analysis.metrics.metric import METRICS, Metric
from analysis.metrics.sqnr import sqnr_db

__all__ = [
    "METRICS",
    "FeatureStatistics",
    "Metric",
    "frechet_distance",
    "frechet_to_data",
    "load_fashion_extractor",
    "load_fashion_reference",
    "psnr",
    "sqnr_db",
    "ssim",
]
