"""UNets of Stable Diffusion's make in any width and depth, random weights; SDXL's on paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TEXT, WORDS = 768, 77  # width and length of the text encoding of Stable Diffusion 1.5


@dataclass(frozen=True)
class Shape:
    """A UNet: width of its first level, residual blocks a level, side of its latent."""

    width: int
    per: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.width} wide, {self.per} a level, {self.size} x {self.size}"


SD15 = Shape(320, 2, 64)  # 860 M parameters, as Stable Diffusion 1.5


def unet(shape: Shape) -> Any:
    """The denoiser; on the meta device where that is torch's default."""
    from diffusers import UNet2DConditionModel

    widths = tuple(shape.width * factor for factor in (1, 2, 4, 4))
    return UNet2DConditionModel(
        sample_size=shape.size,
        block_out_channels=widths,
        layers_per_block=shape.per,
        cross_attention_dim=TEXT,
        attention_head_dim=8,
        norm_num_groups=min(32, shape.width),
    ).eval()


def sdxl() -> Any:
    """The denoiser of Stable Diffusion XL 1.0 (Podell et al. 2023), by its configuration."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    ).eval()


def handle(shape: Shape) -> Any:
    """A pipeline around such a UNet that hears random words in place of a prompt."""
    import torch
    from diffusers import DDIMScheduler, DDPMPipeline

    import analysis

    class Words(DDPMPipeline):
        def encode_prompt(self, prompt: Any, device: Any, **rest: Any) -> tuple[Any, Any]:
            words = torch.randn(1, WORDS, TEXT, generator=torch.Generator().manual_seed(0))
            return words.to(device), torch.zeros_like(words).to(device)

    torch.manual_seed(0)
    return analysis.from_pipeline(Words(unet(shape), DDIMScheduler()), shape.name)
