"""What a denoiser is told, against what diffusers' pipelines tell it."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler

from analysis.errors import UserError
from analysis.models.conditioning import Conditioning, condition
from analysis.models.load import from_pipeline
from analysis.models.trajectory import sampling_spec, trajectory
from tests.conftest import PLAIN_BLOCKS, tiny_unet


def test_an_unconditional_model_is_told_nothing(ddpm):
    told = condition(ddpm)
    assert not told.guided
    assert told.for_batch(3) == {}


def test_a_prompt_for_an_unconditional_model_is_refused(ddpm):
    with pytest.raises(UserError) as refused:
        condition(ddpm, "a cat")
    assert str(refused.value) == f"{ddpm.name} takes no prompt; leave it out."


def test_guidance_puts_the_empty_prompt_first(sd):
    told = condition(sd, "a cat", 5.0)
    plain = condition(sd, "a cat", 1.0)
    empty = condition(sd, "", 1.0)
    assert told.guided
    assert not plain.guided
    both = told.kwargs["encoder_hidden_states"]
    assert both.shape == (2, 16, 16)
    torch.testing.assert_close(both[:1], empty.kwargs["encoder_hidden_states"])
    torch.testing.assert_close(both[1:], plain.kwargs["encoder_hidden_states"])
    assert not torch.equal(both[0], both[1])


def test_rows_are_repeated_sample_by_sample():
    told = Conditioning(2.0, {"x": torch.tensor([[0.0], [1.0]])}, {"y": torch.tensor([[2], [3]])})
    batch = told.for_batch(3)
    assert batch["x"].flatten().tolist() == [0, 0, 0, 1, 1, 1]
    assert batch["added_cond_kwargs"]["y"].flatten().tolist() == [2, 2, 2, 3, 3, 3]


def test_xl_is_told_the_pictures_size_and_the_pooled_text(models):
    told = condition(models("sdxl"), "a cat", 5.0)
    assert told.kwargs["encoder_hidden_states"].shape == (2, 16, 32)
    assert told.added["text_embeds"].shape == (2, 16)
    assert told.added["time_ids"].tolist() == [[16, 16, 0, 0, 16, 16]] * 2
    alone = condition(models("sdxl"), "a cat", 1.0)
    torch.testing.assert_close(alone.added["text_embeds"][0], told.added["text_embeds"][1])


def test_other_extra_inputs_are_refused(new_pipeline):
    pipeline = new_pipeline("sd")
    pipeline.unet.register_to_config(addition_embed_type="image")
    with pytest.raises(UserError, match="needs 'image' conditioning, which is not supported"):
        condition(from_pipeline(pipeline, "odd"), "a cat")


def test_a_pipeline_without_a_prompt_encoder_is_refused(sd):
    class Other:
        unet = sd.denoiser

    with pytest.raises(UserError, match="Other has no encode_prompt; use a Stable Diffusion"):
        condition(from_pipeline(Other()), "a cat")


def test_a_class_conditional_model_draws_its_first_class():
    unet = tiny_unet(block_out_channels=(8, 8), **PLAIN_BLOCKS, num_class_embeds=3)
    model = from_pipeline(DDIMPipeline(unet, DDIMScheduler(num_train_timesteps=50)))
    step = next(trajectory(model, sampling_spec(model, 2, 2)))
    with torch.no_grad():
        first, second = (
            unet(step.x_t, step.timestep, class_labels=torch.tensor([label] * 2)).sample
            for label in (0, 1)
        )
    assert torch.equal(step.noise_pred, first)
    assert not torch.equal(first, second)
