"""Sampling as a generator, against the loops that diffusers' own pipelines run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, LDMPipeline, VQModel

from analysis.errors import Cancelled, UserError
from analysis.models.load import from_pipeline
from analysis.models.trajectory import (
    batches,
    initial_noise,
    sample,
    sample_generators,
    sampling_spec,
    trajectory,
)
from analysis.records import SamplingSpec
from tests.conftest import PLAIN_BLOCKS, tiny_unet

PROMPT = "a red fox"


def own_pictures(model, spec: SamplingSpec, pipeline=None, **arguments) -> np.ndarray:
    """What the pipeline itself makes with the same generators, [N, H, W, C] in [0, 1]."""
    generators = sample_generators(spec.seed, 0, spec.samples)
    pipeline = pipeline or model.pipeline
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"generator": generators, "num_inference_steps": spec.steps, **arguments}
    return pipeline(output_type=arguments.pop("output_type", "np"), **arguments).images


def our_pictures(model, spec: SamplingSpec, **arguments) -> np.ndarray:
    return sample(model, spec, **arguments).permute(0, 2, 3, 1).numpy()


def last(model, spec: SamplingSpec) -> torch.Tensor:
    *_, step = trajectory(model, spec)
    return step.x_next


def test_pictures_are_those_of_the_ddpm_pipeline_bit_for_bit(ddpm):
    spec = sampling_spec(ddpm, steps=7, samples=3, seed=5)
    assert spec.scheduler == "ddpm"
    assert np.array_equal(our_pictures(ddpm, spec), own_pictures(ddpm, spec, batch_size=3))


def test_pictures_are_those_of_the_ddim_pipeline_bit_for_bit(ddpm):
    spec = sampling_spec(ddpm, steps=7, samples=3, seed=5, scheduler="ddim")
    pipeline = DDIMPipeline(
        ddpm.denoiser, DDIMScheduler.from_config(ddpm.pipeline.scheduler.config)
    )
    own = own_pictures(ddpm, spec, pipeline, batch_size=3)
    assert np.array_equal(our_pictures(ddpm, spec), own)


@pytest.mark.parametrize("family", ["sd", "sdxl"])
@pytest.mark.parametrize("guidance", [1.0, 4.5])
def test_latents_are_those_of_stable_diffusion_bit_for_bit(models, family, guidance):
    model = models(family)
    spec = sampling_spec(model, 5, 2, seed=3, prompt=PROMPT, guidance_scale=guidance)
    own = own_pictures(
        model,
        spec,
        prompt=PROMPT,
        guidance_scale=guidance,
        num_images_per_prompt=2,
        output_type="latent",
    )
    assert torch.equal(last(model, spec), own)


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_pictures_are_those_of_stable_diffusion(models, family):
    model = models(family)
    spec = sampling_spec(model, 3, 2, seed=3, prompt=PROMPT, guidance_scale=4.5)
    one = [  # the VAE sees one latent at a time here too: a convolution depends on its batch
        model.pipeline(
            PROMPT,
            num_inference_steps=3,
            guidance_scale=4.5,
            num_images_per_prompt=2,
            generator=sample_generators(3, 0, 2),
            output_type="latent",
        ).images[i : i + 1]
        for i in range(2)
    ]
    vae = model.pipeline.vae
    with torch.no_grad():
        decoded = [vae.decode(x / vae.config.scaling_factor, return_dict=False)[0] for x in one]
    own = model.pipeline.image_processor.postprocess(torch.cat(decoded), output_type="np")
    assert np.array_equal(our_pictures(model, spec), own)
    whole = own_pictures(model, spec, prompt=PROMPT, guidance_scale=4.5, num_images_per_prompt=2)
    np.testing.assert_allclose(our_pictures(model, spec), whole, atol=1e-5)


def test_the_default_prompt_and_guidance_are_those_of_the_papers(sd):
    from analysis.models.conditioning import DEFAULT_GUIDANCE, DEFAULT_PROMPT

    silent = last(sd, sampling_spec(sd, 2, 1))
    told = last(sd, sampling_spec(sd, 2, 1, prompt=DEFAULT_PROMPT, guidance_scale=DEFAULT_GUIDANCE))
    other = last(sd, sampling_spec(sd, 2, 1, prompt=PROMPT))
    assert torch.equal(silent, told)
    assert not torch.equal(silent, other)


def test_pictures_of_latent_diffusion_go_through_its_vq_model():
    unet = tiny_unet(in_channels=3, out_channels=3, block_out_channels=(8, 8), attention_head_dim=4)
    vqvae = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        latent_channels=3,
        num_vq_embeddings=16,
        norm_num_groups=4,
    ).eval()
    model = from_pipeline(LDMPipeline(vqvae, unet, DDIMScheduler(num_train_timesteps=100)))
    spec = sampling_spec(model, 4, 2, seed=1)
    own = own_pictures(model, spec, batch_size=2)
    assert own.shape == (2, 16, 16, 3)
    np.testing.assert_allclose(our_pictures(model, spec), own, atol=1e-5)


def test_every_step_starts_where_the_one_before_ended(ddpm):
    steps = list(trajectory(ddpm, sampling_spec(ddpm, 6, 2)))
    assert [step.index for step in steps] == list(range(6))
    assert [step.timestep for step in steps] == sorted((s.timestep for s in steps), reverse=True)
    for before, after in pairwise(steps):
        assert torch.equal(before.x_next, after.x_t)
    assert steps[0].x_t.shape == steps[0].noise_pred.shape == (2, 1, 16, 16)


def test_the_prediction_is_the_denoisers_own(ddpm):
    step = next(trajectory(ddpm, sampling_spec(ddpm, 3, 2)))
    with torch.no_grad():
        assert torch.equal(ddpm.denoiser(step.x_t, step.timestep).sample, step.noise_pred)


def test_guidance_weighs_the_conditional_against_the_unconditional(sd):
    weak, strong, stronger = (
        next(trajectory(sd, sampling_spec(sd, 3, 1, prompt=PROMPT, guidance_scale=g))).noise_pred
        for g in (1.0, 2.0, 3.0)
    )
    # noise = u + g (c - u) is linear in g, and c alone at g = 1.
    torch.testing.assert_close(strong - weak, stronger - strong, atol=1e-5, rtol=1e-4)
    assert (strong - weak).abs().max() > 1e-4


def test_a_sample_does_not_depend_on_its_batch(ddpm):
    whole = sample(ddpm, sampling_spec(ddpm, 5, 5, seed=2), batch=5)
    for batch in (1, 2, 4):
        parts = sample(ddpm, sampling_spec(ddpm, 5, 5, seed=2), batch=batch)
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)


def test_noise_is_a_samples_own_and_follows_the_seed(ddpm):
    rows = initial_noise(ddpm, sample_generators(4, 0, 3))
    assert torch.equal(initial_noise(ddpm, sample_generators(4, 2, 1))[0], rows[2])
    assert not torch.equal(rows[0], rows[1])
    assert not torch.equal(initial_noise(ddpm, sample_generators(5, 0, 1))[0], rows[0])
    assert not torch.equal(initial_noise(ddpm, sample_generators(5, 0, 1))[0], rows[1])


@pytest.mark.parametrize("size", [8, (8, 12)])
def test_samples_need_not_be_square(size):
    unet = tiny_unet(
        sample_size=size, in_channels=2, out_channels=2, block_out_channels=(8, 8), **PLAIN_BLOCKS
    )
    model = from_pipeline(DDIMPipeline(unet, DDIMScheduler(num_train_timesteps=50)))
    spec = sampling_spec(model, 3, 2)
    assert np.array_equal(our_pictures(model, spec), own_pictures(model, spec, batch_size=2))


def test_a_learned_variance_is_left_out_where_the_scheduler_has_no_use_for_it():
    unet = tiny_unet(out_channels=2, block_out_channels=(8, 8), **PLAIN_BLOCKS)
    model = from_pipeline(DDIMPipeline(unet, DDIMScheduler(num_train_timesteps=50)))
    step = next(trajectory(model, sampling_spec(model, 3, 2)))
    with torch.no_grad():
        both = model.denoiser(step.x_t, step.timestep).sample
    assert torch.equal(step.noise_pred, both[:, :1])
    assert step.x_next.shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("samples", "batch", "expected"),
    [(5, 2, [(0, 2), (2, 2), (4, 1)]), (4, 2, [(0, 2), (2, 2)]), (1, 16, [(0, 1)])],
)
def test_batches_cover_every_sample_once(samples, batch, expected):
    assert list(batches(samples, batch)) == expected


def test_progress_counts_up_to_its_total(ddpm):
    seen = []
    sample(ddpm, sampling_spec(ddpm, 3, 3), batch=2, progress=lambda *args: seen.append(args))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert {total for _, total, _ in seen} == {6}
    assert all("timestep" in text for _, _, text in seen)


def test_sampling_stops_when_asked(ddpm):
    calls = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) == 2

    with pytest.raises(Cancelled):
        sample(ddpm, sampling_spec(ddpm, 5, 1), should_stop=stop)
    assert len(calls) == 2


@pytest.mark.parametrize("samples", [0, -1, 1.5, True, "3", None])
def test_a_number_of_samples_that_is_none_is_refused(ddpm, samples):
    with pytest.raises(UserError) as refused:
        sampling_spec(ddpm, 3, samples)
    assert str(refused.value) == (f"samples must be a whole number of 1 or more; got {samples!r}.")


@pytest.mark.parametrize("seed", [-1, 0.5, False, "0", None])
def test_a_seed_that_is_none_is_refused(ddpm, seed):
    with pytest.raises(UserError) as refused:
        sampling_spec(ddpm, 3, 1, seed)
    assert str(refused.value) == f"seed must be a whole number of 0 or more; got {seed!r}."


@pytest.mark.parametrize("guidance", [float("nan"), float("inf"), -float("inf")])
def test_a_guidance_that_is_no_number_is_refused(sd, guidance):
    with pytest.raises(UserError) as refused:
        sampling_spec(sd, 3, 1, guidance_scale=guidance)
    assert str(refused.value) == f"guidance_scale must be a finite number; got {guidance}."


def test_any_whole_seed_will_do(ddpm):
    assert sampling_spec(ddpm, 3, 1, 2**70).seed == 2**70
    sample_generators(2**70, 0, 1)
