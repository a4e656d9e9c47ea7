"""Prints the figures of the model card: `python -m assets.measure_model [NAME ...]`.

Names: `shortcuts` (ranges of both halves), `drift` (ranges over timesteps), `rounding` (damage of
plain rounding), `capture` (writes the bundled capture anew, all values in its histograms).
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

import analysis
from analysis.capture.store import BUNDLED_CAPTURE, load_capture, save_capture

PLANS = (("W8A8", 8), ("W8A8", 16), ("W6A6", 8), ("W4A8", 8), ("W4A4", 8))  # bits of x_t
SAMPLES, STEPS = 128, 50


def capture() -> None:
    """The bundled capture: 50 DDIM steps, 16 samples, seed 0."""
    from analysis.capture.run import capture

    done = capture(analysis.load_model("fashion"), steps=50, samples=16, seed=0, exact=True)
    path = save_capture(done, BUNDLED_CAPTURE)
    print(f"{path.name}: {len(done.layers)} tensors, {path.stat().st_size / 1e6:.1f} MB")


def shortcuts() -> None:
    """Widest against narrowest half of every shortcut, middle of the run."""
    print(f"{'shortcut':40} {'h':>7} {'skip':>7} {'ratio':>6}  bimodal  narrower half at 4 bits")
    for r in analysis.shortcut_report(load_capture(BUNDLED_CAPTURE)):
        joint, own = r.sqnr_db_small_half_joint[4], r.sqnr_db_small_half_split[4]
        print(
            f"{r.layer:40} {r.range_h:7.1f} {r.range_skip:7.1f} {r.range_ratio:5.1f}x  "
            f"{'yes' if r.bimodal else 'no':7}  {joint:.1f} -> {own:.1f} dB"
        )


def drift() -> None:
    """Convolutions whose range moves most over the timesteps: largest over smallest range."""
    done = load_capture(BUNDLED_CAPTURE)
    rows = []
    for layer, stats in zip(done.layers, done.stats, strict=True):
        ranges = stats.max - stats.min  # [T]
        if layer.kind == "conv" and ranges.min() > 0:
            rows.append((ranges.max() / ranges.min(), layer.name, ranges))
    ratios = np.array([row[0] for row in rows])
    print(f"median drift of {len(rows)} convolutions: {np.median(ratios):.2f}x")
    for ratio, name, ranges in sorted(rows, key=lambda row: -row[0])[:6]:
        print(f"{name:45} {ranges[0]:8.2f} first, {ranges[-1]:8.2f} last, {ratio:6.1f}x at most")


def rounding() -> None:
    """Plain rounding, minmax, against float: the same noise through both."""
    model, calibration = analysis.load_model("fashion"), load_capture(BUNDLED_CAPTURE)
    print(f"{SAMPLES} samples, {STEPS} DDIM steps, seed 1; first and last layer at 8 bits")
    for plan, bits in PLANS:
        quantized = analysis.quantize(model, "rtn", plan, calibration, input_bits=bits)
        v = analysis.compare(model, quantized, samples=SAMPLES, steps=STEPS, seed=1).values
        print(
            f"{plan}, x_t {bits:2} bits: PSNR {v['psnr_db']:5.1f} dB, SSIM {v['ssim']:.3f}, "
            f"Frechet distance {v['frechet_quantized']:.2f} "
            f"(float {v['frechet_float']:.2f}, N = {SAMPLES})",
            flush=True,
        )


FIGURES: dict[str, Callable[[], None]] = {
    "capture": capture,
    "shortcuts": shortcuts,
    "drift": drift,
    "rounding": rounding,
}


def main() -> None:
    for name in sys.argv[1:] or ("shortcuts", "drift", "rounding"):
        if name not in FIGURES:
            raise SystemExit(f"error: no figure {name}; there are {', '.join(FIGURES)}.")
        FIGURES[name]()


if __name__ == "__main__":
    main()
