"""Fresh and inherited error: against a closed form, and against runs that switch models."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from analysis.error_parts import part_errors
from analysis.models.schedulers import SHORT_NAMES
from analysis.models.trajectory import sampling_spec, trajectory
from analysis.quant.run import quantize


@pytest.fixture(scope="module")
def rounded(ddpm):
    return quantize(ddpm, plan="W3A32").handle


class Switching(nn.Module):
    """The float model at every call but one, which the quantized model answers."""

    def __init__(self, floating, quantized, call: int) -> None:
        super().__init__()
        self.floating, self.quantized = floating, quantized
        self.call, self.calls = call, 0
        self.config = floating.config

    def forward(self, *args, **kwargs):
        chosen = self.quantized if self.calls == self.call else self.floating
        self.calls += 1
        return chosen(*args, **kwargs)


@pytest.mark.parametrize("scheduler", list(SHORT_NAMES))
def test_both_parts_add_up_to_the_difference_of_the_two_runs(ddpm, rounded, scheduler):
    spec = sampling_spec(ddpm, 4, 2, 3, scheduler)
    steps = list(part_errors(ddpm, [rounded], spec))
    runs = zip(trajectory(ddpm, spec), trajectory(rounded, spec), strict=True)
    for step, (x, x_q) in zip(steps, runs, strict=True):
        difference = x_q.x_next - x.x_next
        (part,) = step.parts
        torch.testing.assert_close(part.fresh + part.inherited, difference, rtol=0, atol=1e-5)
        assert (step.index, step.timestep) == (x.index, x.timestep)
    assert torch.equal(steps[0].parts[0].inherited, torch.zeros_like(difference))
    assert steps[-1].parts[0].inherited.abs().max() > 0


@pytest.mark.parametrize("scheduler", ["ddpm", "dpm++", "heun", "euler-a"])
def test_fresh_is_what_one_quantized_step_in_a_float_run_changes(ddpm, rounded, scheduler):
    spec = sampling_spec(ddpm, 4, 2, 0, scheduler)
    floating = [step.x_next for step in trajectory(ddpm, spec)]
    parted = list(part_errors(ddpm, [rounded], spec))
    for i, step in enumerate(parted):
        mixed = ddpm.with_denoiser(Switching(ddpm.denoiser, rounded.denoiser, i))
        switched = list(trajectory(mixed, spec))[i].x_next
        torch.testing.assert_close(step.parts[0].fresh, switched - floating[i], rtol=0, atol=1e-6)
        assert step.parts[0].fresh.abs().max() > 0


class Scaled(nn.Module):
    """Predicts a * x as noise: DDIM then multiplies x by a known number in every step."""

    def __init__(self, a: float, like) -> None:
        super().__init__()
        self.a, self.config = nn.Parameter(torch.tensor(a)), like.config

    def forward(self, x, t):
        return SimpleNamespace(sample=self.a * x)


def test_the_parts_of_a_linear_model_are_known_in_closed_form(ddpm):
    a, b, steps = 0.3, 0.5, 5
    plain = ddpm.with_denoiser(Scaled(a, ddpm.denoiser))
    other = ddpm.with_denoiser(Scaled(b, ddpm.denoiser))
    spec = sampling_spec(ddpm, steps, 2, 0, "ddim")
    scheduler = other.pipeline.scheduler
    alphas = [float(scheduler.alphas_cumprod[int(t)]) for t in range(80, -1, -20)]
    x = x_q = next(iter(trajectory(plain, spec))).x_t.double()
    for step, alpha, following in zip(
        part_errors(plain, [other], spec), alphas, [*alphas[1:], 1.0], strict=True
    ):
        factors = []
        for slope in (a, b):  # DDIM, equation 12 with sigma = 0, without clipping
            x0 = (1 - (1 - alpha) ** 0.5 * slope) / alpha**0.5
            factors.append((x0, slope))
        clipped = plain.pipeline.scheduler.config.clip_sample
        f, q = (_factor(x0, slope, alpha, following, clipped) for x0, slope in factors)
        fresh, inherited = q(x) - f(x), q(x_q) - q(x)
        x, x_q = f(x), q(x_q)
        torch.testing.assert_close(step.parts[0].fresh.double(), fresh, rtol=0, atol=1e-5)
        torch.testing.assert_close(step.parts[0].inherited.double(), inherited, rtol=0, atol=1e-5)


def _factor(x0: float, slope: float, alpha: float, following: float, clipped: bool):
    def step(x):
        start = (x0 * x).clamp(-1, 1) if clipped else x0 * x
        return following**0.5 * start + (1 - following) ** 0.5 * slope * x

    return step


def test_the_same_model_makes_no_error(ddpm):
    spec = sampling_spec(ddpm, 3, 2, 0, "ddpm")
    for step in part_errors(ddpm, [ddpm, ddpm], spec):
        for part in step.parts:
            assert not part.fresh.any()
            assert not part.inherited.any()


def test_a_batch_is_a_part_of_the_run(ddpm, rounded):
    spec = sampling_spec(ddpm, 2, 4, 0)
    whole = list(part_errors(ddpm, [rounded], spec))
    tail = list(part_errors(ddpm, [rounded], replace(spec), first=2, count=2))
    for all_rows, rows in zip(whole, tail, strict=True):
        torch.testing.assert_close(
            all_rows.parts[0].one_step[2:], rows.parts[0].one_step, rtol=0, atol=1e-5
        )
