"""The example captures of the page, and the untrained model: `python -m assets.make_examples`.

Everything is drawn with fixed seeds; a few seconds on one core.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

import analysis
from analysis.capture.store import save_capture
from analysis.models.load import BUNDLED, load_model

CAPTURES = Path(__file__).parent / "captures"
STEPS, SAMPLES, BINS = 12, 8, 256
UNTRAINED = "untrained"


def main() -> None:
    """Write the model and both captures."""
    save_untrained(BUNDLED / UNTRAINED)
    few = analysis.capture(
        load_model("fashion", "cpu"), STEPS, SAMPLES, seed=0, scheduler="dpm++", bins=BINS
    )
    print(save_capture(few, CAPTURES / "few-steps.safetensors"))
    untrained = analysis.capture(load_model(UNTRAINED, "cpu"), STEPS, SAMPLES, seed=0, bins=BINS)
    print(save_capture(untrained, CAPTURES / f"{UNTRAINED}.safetensors"))


def save_untrained(folder: Path) -> None:
    """A narrower network of the bundled model's kind, with the weights diffusers starts from."""
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=32,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(16, 24, 24, 24),
        norm_num_groups=8,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(folder)


if __name__ == "__main__":
    main()
