"""What a denoiser is told besides the noisy sample: prompts, guidance, class labels."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch

from analysis.errors import UserError
from analysis.models.handle import ModelHandle

DEFAULT_PROMPT = "a photograph of an astronaut riding a horse"
DEFAULT_GUIDANCE = 7.5


@dataclass(frozen=True)
class Conditioning:
    """Denoiser arguments for one sample; with guidance, rows are (unconditional, conditional)."""

    guidance_scale: float | None = None
    kwargs: dict[str, torch.Tensor] = field(default_factory=dict)  # [1 or 2, ...] each
    added: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def guided(self) -> bool:
        return self.guidance_scale is not None and self.guidance_scale > 1

    def for_batch(self, size: int) -> dict[str, Any]:
        """The arguments repeated for a batch of `size` samples."""
        out: dict[str, Any] = {k: v.repeat_interleave(size, 0) for k, v in self.kwargs.items()}
        if self.added:
            out["added_cond_kwargs"] = {
                k: v.repeat_interleave(size, 0) for k, v in self.added.items()
            }
        return out


def condition(
    model: ModelHandle, prompt: str | None = None, guidance_scale: float | None = None
) -> Conditioning:
    """Encode a prompt with the pipeline's own text encoder; nothing for unconditional models.

    Raises:
        UserError: when the model takes a prompt in a way that is not known here, or when a
            prompt is given to a model that takes none.
    """
    if not model.conditional:
        if prompt is not None:
            raise UserError(f"{model.name} takes no prompt; leave it out.")
        return _labels(model)
    guidance = DEFAULT_GUIDANCE if guidance_scale is None else guidance_scale
    guided = guidance > 1
    encode = getattr(model.pipeline, "encode_prompt", None)
    if encode is None:
        raise UserError(
            f"{type(model.pipeline).__name__} has no encode_prompt; use a Stable Diffusion "
            "pipeline or an unconditional one."
        )
    arguments: dict[str, Any] = {
        "prompt": DEFAULT_PROMPT if prompt is None else prompt,
        "device": model.device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": guided,
    }
    known = inspect.signature(encode).parameters
    with torch.no_grad():
        encoded = encode(**{k: v for k, v in arguments.items() if k in known})
    text, negative = encoded[0], encoded[1]
    kwargs = {"encoder_hidden_states": torch.cat([negative, text]) if guided else text}
    added = _size_and_pooled(model, encoded, guided)
    return Conditioning(guidance, kwargs, added)


def _size_and_pooled(model: ModelHandle, encoded: Any, guided: bool) -> dict[str, torch.Tensor]:
    """Stable Diffusion XL's extra inputs: pooled text, and the picture's size and crop."""
    config: Any = model.denoiser.config
    if config.get("addition_embed_type") is None:
        return {}
    if config.addition_embed_type != "text_time" or len(encoded) < 4:
        raise UserError(
            f"{model.name} needs {config.addition_embed_type!r} conditioning, which is not "
            "supported; Stable Diffusion 1, 2 and XL are."
        )
    scale = 2 ** (len(model.pipeline.vae.config.block_out_channels) - 1)
    height, width = (side * scale for side in model.sample_shape[1:])
    ids = torch.tensor([[height, width, 0, 0, height, width]], device=model.device)
    pooled, negative = encoded[2], encoded[3]
    return {
        "text_embeds": torch.cat([negative, pooled]) if guided else pooled,
        "time_ids": (ids.repeat(2, 1) if guided else ids).to(pooled.dtype),
    }


def _labels(model: ModelHandle) -> Conditioning:
    config: Any = model.denoiser.config
    if not config.get("num_class_embeds"):
        return Conditioning()
    return Conditioning(kwargs={"class_labels": torch.zeros(1, dtype=torch.long).to(model.device)})
