"""How near one picture is to another: PSNR and SSIM, through torchmetrics.

torchmetrics takes longer to import than torch, so only the functions that use it import it.
"""

from __future__ import annotations

from torch import Tensor

from analysis.errors import UserError
from analysis.metrics.metric import METRICS, Metric, check_pair

SIGMA = 1.5  # pixels
WINDOW = 11  # pixels; a Gaussian of SIGMA cut off at 3.5 sigma on either side


def psnr(reference: Tensor, candidate: Tensor) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1, the mean over pictures [N, C, H, W].

    The mean is of each picture's dB, so one picture that is equal makes the result `inf`.
    Raises `UserError` if the shapes differ or the values leave [0, 1].
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    check_pair(reference, candidate)
    value = peak_signal_noise_ratio(
        candidate.double(),
        reference.double(),
        data_range=1.0,
        reduction="elementwise_mean",
        dim=(1, 2, 3),
    )
    return float(value)


def ssim(reference: Tensor, candidate: Tensor) -> float:
    """Structural similarity, at most 1, the mean over pictures [N, C, H, W].

    Gaussian window of sigma 1.5 (11x11), population covariance, K1 0.01, K2 0.03: the settings
    of Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", 2004. The mean is over the windows that lie wholly inside. Raises
    `UserError` for pictures smaller than the window, for shapes that differ and for values
    outside [0, 1].
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    check_pair(reference, candidate)
    height, width = reference.shape[-2:]
    if min(height, width) < WINDOW:
        raise UserError(
            f"SSIM needs pictures of at least {WINDOW}x{WINDOW} pixels, and these are "
            f"{height}x{width}; use psnr, or larger pictures."
        )
    _, maps = structural_similarity_index_measure(
        candidate.double(),
        reference.double(),
        gaussian_kernel=True,
        sigma=SIGMA,
        data_range=1.0,
        return_full_image=True,
    )
    # torchmetrics' own mean includes the border, where the window hangs over the edge and sees
    # the picture mirrored; the paper and scikit-image count only windows that lie inside.
    edge = WINDOW // 2
    inside = maps[..., edge : height - edge, edge : width - edge]  # [N, C, H - 10, W - 10]
    return float(inside.mean())


METRICS.register("psnr")(Metric("psnr", "dB", True, psnr))
METRICS.register("ssim")(Metric("ssim", "", True, ssim))
