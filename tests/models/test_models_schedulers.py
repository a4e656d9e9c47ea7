"""Every scheduler by its short name; others by class name where they fit, one sentence if not."""

from __future__ import annotations

import inspect

import diffusers
import numpy as np
import pytest
import torch
from diffusers import SchedulerMixin

from analysis.capture.run import capture
from analysis.errors import UserError
from analysis.models.load import from_pipeline
from analysis.models.schedulers import SHORT_NAMES, make_scheduler, scheduler_name
from analysis.models.trajectory import sample, sampling_spec, trajectory, visited_timesteps

TWICE = ("heun", "pndm")  # visit some timesteps more than once
every = pytest.mark.parametrize("name", list(SHORT_NAMES))


@every
def test_it_samples_along_its_own_timesteps(ddpm, name):
    spec = sampling_spec(ddpm, 6, 2, scheduler=name)
    scheduler = make_scheduler(ddpm.pipeline.scheduler, name, 6, torch.device("cpu"))
    assert spec.scheduler == name
    assert type(scheduler).__name__ == SHORT_NAMES[name]
    steps = list(trajectory(ddpm, spec))
    assert [s.timestep for s in steps] == [float(t) for t in scheduler.timesteps]
    assert torch.isfinite(steps[-1].x_next).all()
    pictures = sample(ddpm, spec)
    assert pictures.shape == (2, 1, 16, 16)
    assert pictures.min() >= 0
    assert pictures.max() <= 1


@every
def test_a_capture_has_each_timestep_once(ddpm, name):
    done = capture(ddpm, steps=6, samples=2, scheduler=name, layers="conv_in", exact=True)
    visits = [s.timestep for s in trajectory(ddpm, sampling_spec(ddpm, 6, 2, scheduler=name))]
    assert done.timesteps.tolist() == list(dict.fromkeys(visits))
    assert (len(visits) > len(done.timesteps)) is (name in TWICE)
    per_visit = 2 * 16 * 16
    expected = [per_visit * visits.count(t) for t in done.timesteps]
    assert done["conv_in"].count.tolist() == expected
    assert done["conv_in"].histogram.counts.sum(axis=1).tolist() == expected


@pytest.mark.parametrize("name", ["ddim", "euler", "heun", "ddpm", "euler-a"])
def test_stable_diffusion_samples_with_it_too(sd, name):
    spec = sampling_spec(sd, 4, 1, scheduler=name, prompt="a cat", guidance_scale=3.0)
    assert torch.isfinite(list(trajectory(sd, spec))[-1].x_next).all()


@pytest.mark.parametrize("name", ["DDIM", "Euler", "DPM++"])
def test_short_names_may_be_in_capitals(ddpm, name):
    assert sampling_spec(ddpm, 3, 1, scheduler=name).scheduler == name.lower()


def test_a_class_name_will_do(ddpm):
    assert sampling_spec(ddpm, 3, 1, scheduler="HeunDiscreteScheduler").scheduler == "heun"
    assert sampling_spec(ddpm, 3, 1, scheduler="LCMScheduler").scheduler == "LCMScheduler"


def test_the_models_own_scheduler_is_the_default_and_stays_untouched(ddpm):
    own = ddpm.pipeline.scheduler
    before = (own.timesteps.clone(), own.num_inference_steps)
    spec = sampling_spec(ddpm, 5, 1)
    list(trajectory(ddpm, spec))
    assert spec.scheduler == scheduler_name(own) == "ddpm"
    assert torch.equal(own.timesteps, before[0])
    assert own.num_inference_steps == before[1]


@pytest.mark.parametrize("name", ["nonsense", "", "UNet2DModel", "DDIMPipeline", "__name__"])
def test_an_unknown_scheduler_is_refused(ddpm, name):
    with pytest.raises(UserError) as refused:
        sampling_spec(ddpm, 3, 1, scheduler=name)
    assert str(refused.value) == (
        f"There is no scheduler named {name!r}; choose one of: {', '.join(SHORT_NAMES)}, "
        "or the name of a diffusers class such as DDIMScheduler."
    )


def diffusers_schedulers() -> list[str]:
    found = []
    for name in dir(diffusers):
        thing = getattr(diffusers, name, None)
        if inspect.isclass(thing) and issubclass(thing, SchedulerMixin):
            found.append(name)
    return found


def test_every_scheduler_of_diffusers_samples_or_is_refused_in_one_sentence(ddpm):
    worked, refused = [], {}
    for name in diffusers_schedulers():
        try:
            spec = sampling_spec(ddpm, 4, 1, scheduler=name)
        except UserError as error:
            refused[name] = str(error)
        else:
            assert torch.isfinite(sample(ddpm, spec)).all(), name
            worked.append(name)
    assert set(SHORT_NAMES.values()) <= {*worked, *refused}
    assert len(worked) >= 20
    assert "FlowMatchEulerDiscreteScheduler" in refused
    for name, sentence in refused.items():
        assert name in sentence
        assert "\n" not in sentence
        assert "another scheduler" in sentence


@pytest.mark.parametrize("steps", [0, -1, 101, 10_000, 2.0, True, "5", None])
def test_steps_that_cannot_be_are_refused(ddpm, steps):
    with pytest.raises(UserError) as refused:
        sampling_spec(ddpm, steps, 1)
    assert str(refused.value) == (
        "steps must be a whole number from 1 to 100, the timesteps this model was trained on; "
        f"got {steps}."
    )


@pytest.mark.parametrize("name", [n for n in SHORT_NAMES if n != "pndm"])
@pytest.mark.parametrize("steps", [1, 2, 100])
def test_the_fewest_and_the_most_steps_run(ddpm, name, steps):
    spec = sampling_spec(ddpm, steps, 1, scheduler=name)
    timesteps = visited_timesteps(ddpm, spec)
    assert 1 <= len(timesteps) <= 2 * steps
    assert np.isfinite(timesteps).all()
    if steps < 100:
        assert torch.isfinite(sample(ddpm, spec)).all()


@pytest.mark.parametrize("steps", [1, 3])
def test_too_few_steps_for_a_scheduler_are_refused(ddpm, steps):
    with pytest.raises(UserError) as refused:
        sampling_spec(ddpm, steps, 1, scheduler="pndm")
    sentence = str(refused.value)
    assert sentence.startswith(f"PNDMScheduler cannot run {steps} steps of this model (")
    assert sentence.endswith("); try another number of steps or another scheduler.")


def test_a_noise_schedule_that_a_scheduler_does_not_know_is_named(new_pipeline):
    pipeline = new_pipeline("ddpm")
    pipeline.scheduler = diffusers.DDPMScheduler(num_train_timesteps=100, beta_schedule="sigmoid")
    model = from_pipeline(pipeline)
    assert sampling_spec(model, 5, 1).scheduler == "ddpm"
    with pytest.raises(UserError) as refused:
        sampling_spec(model, 5, 1, scheduler="pndm")
    assert str(refused.value).startswith(
        "PNDMScheduler does not know this model's noise schedule (sigmoid is not implemented for"
    )
    assert str(refused.value).endswith("); choose another scheduler.")
