"""The first-order estimate against a network whose derivative is known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from analysis.expected_error import entrance, expected_db
from analysis.models.conditioning import Conditioning
from analysis.models.trajectory import sampling_spec
from analysis.one_layer import HeldOut, hold_out
from analysis.quant.model import LayerRow
from analysis.records import LayerRef


class Sum(nn.Module):
    """3 a(x) + b(x), with 1 x 1 convolutions: the derivative by a's output is 3, by b's 1."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(1, 1, 1, bias=False) for _ in range(2))
        nn.init.constant_(self.a.weight, 2.0)
        nn.init.constant_(self.b.weight, -4.0)

    def forward(self, sample, timestep):
        return SimpleNamespace(sample=3 * self.a(sample) + self.b(sample))


@pytest.fixture
def toy():
    """The sum on one large sample: the estimate is exact up to 1 / sqrt(number of pixels)."""
    scheduler = SimpleNamespace(scale_model_input=lambda x, t: x)
    x = torch.randn(1, 1, 128, 128)
    denoiser = Sum()
    held = HeldOut(
        (x,), denoiser(x, 0).sample[None], ((scheduler, torch.tensor(5)),), Conditioning()
    )
    return SimpleNamespace(denoiser=denoiser), held


def layer(name: str, db: float | None = 20.0) -> tuple[LayerRef, LayerRow]:
    return LayerRef(name, "conv"), LayerRow(name, 4, 8, db)


def test_an_error_is_passed_on_by_the_derivative(toy):
    # The output is 2 x: a gives 6 x of it and b -4 x, so their relative errors grow 3 and 2 times.
    found = expected_db(*toy, [layer("a"), layer("b")])
    assert found["a"] == pytest.approx(20 - 20 * math.log10(3), abs=0.2)
    assert found["b"] == pytest.approx(20 - 20 * math.log10(2), abs=0.2)


def test_less_noise_in_the_layer_is_less_noise_at_the_end(toy):
    fine, coarse = (expected_db(*toy, [layer("a", db)])["a"] for db in (50.0, 10.0))
    assert fine - coarse == pytest.approx(40.0)


def test_a_layer_that_loses_nothing_is_left_out(toy):
    assert expected_db(*toy, [layer("a", None)]) == {}


def test_nothing_of_the_model_is_changed(toy):
    model, held = toy
    expected_db(model, held, [layer("a")])
    assert all(p.grad is None for p in model.denoiser.parameters())
    assert not model.denoiser.a._forward_hooks


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("conv_in", "conv_in"),
        ("mid.attentions.0#q", "mid.attentions.0.to_q"),
        ("mid.attentions.0#softmax", "mid.attentions.0.to_out.0"),
    ],
)
def test_errors_enter_where_the_layer_puts_them(name, module):
    tap = name.partition("#")[2] or "input"
    assert entrance(LayerRef(name, "attention", tap)) == module


@pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])
def test_every_layer_of_every_family_is_reached(models, family):
    model = models(family)
    held = hold_out(model, sampling_spec(model, 2, 1), 2)
    rows = [(x, LayerRow(x.name, 4, 8, 20.0)) for x in model.layers]
    found = expected_db(model, held, rows)
    unreached = {x.name for x in model.layers} - set(found) - set(model.trace.never_ran)
    assert unreached == set()
    assert all(math.isfinite(value) for value in found.values())
