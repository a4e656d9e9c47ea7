"""The inner loop on single layers, against closed forms and every rounding there is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from analysis.errors import Cancelled
from analysis.quant.learn import Cache, _loss, _optimizer, balance, learn
from analysis.quant.learnable import learnable, roundings, scales, settle
from analysis.quant.modules import QuantConv2d, QuantLayer, QuantLinear
from analysis.quant.phase import Phase
from analysis.quant.qparams import QParams, weight_qparams
from analysis.quant.scheme import QuantScheme

BITS = 3
TOP = 2**BITS - 1


def grid(weight: torch.Tensor) -> QParams:
    return weight_qparams(weight.detach(), QuantScheme(BITS, False, "per_channel"))


def cached(x: torch.Tensor, target: torch.Tensor, floating: torch.Tensor | None = None) -> Cache:
    return Cache(((x,), {}), ((x if floating is None else floating,), {}), target.detach(), {})


def adaround(layer: QuantLayer, weight: torch.Tensor, cache: Cache, **more) -> None:
    """Learn a layer's rounding."""
    twin = learnable(layer, {"": weight.detach()}, learn_scales=False)
    settings = {"name": "weights", "iterations": 1000, "weight_lr": 5e-2} | more
    torch.manual_seed(0)
    learn(twin, cache, Phase(**settings), lambda *_: None)
    settle(layer, twin)


def alike(rows: int, columns: int) -> torch.Tensor:
    """Inputs [rows, columns] that rise and fall together: there rounding errors add up."""
    torch.manual_seed(0)
    return torch.randn(rows, columns) @ (torch.randn(columns, columns) * 0.5 + 1)


def test_adaround_comes_near_the_best_of_all_roundings():
    x = alike(512, 8)
    linear = nn.Linear(8, 24, bias=False)
    weight, numbers = linear.weight.detach(), grid(linear.weight)
    layer = QuantLinear.from_float(linear, numbers, None)

    def error(rounded: torch.Tensor) -> torch.Tensor:
        return (x @ (rounded - weight).T).square().mean(dim=0)  # [24]

    scale, zero_point = (value.view(-1, 1) for value in numbers.tensors())
    down = (weight / scale).floor() + zero_point
    every = [
        error(((down + torch.tensor(up)).clamp(0, TOP) - zero_point) * scale)
        for up in itertools.product((0, 1), repeat=8)
    ]
    best = torch.stack(every).amin(dim=0).sum()
    nearest = error(layer.weight).sum()
    adaround(layer, weight, cached(x, linear(x)))
    found = error(layer.weight).sum()
    assert best <= found
    assert nearest > 5 * best  # else there would be nothing to find
    assert nearest - found > 0.85 * (nearest - best)


def test_adaround_lowers_the_output_error_of_a_convolution():
    torch.manual_seed(0)
    x = nn.functional.interpolate(torch.randn(64, 6, 3, 3), size=9, mode="bicubic") + 1
    conv = nn.Conv2d(6, 10, 3, padding=1)
    layer = QuantConv2d.from_float(conv, grid(conv.weight), None)
    target = conv(x).detach()
    nearest = (layer(x) - target).square().mean()
    adaround(layer, conv.weight, cached(x, target), iterations=400)
    assert (layer(x) - target).square().mean() < 0.5 * nearest
    levels = layer.weight_levels()
    assert levels.min() >= 0
    assert levels.max() <= TOP


def scaled(scale: float, target_of, x: torch.Tensor, **more) -> tuple[float, list[float]]:
    """Learn the scale of an 8-bit input of an identity map; the scale and the losses."""
    linear = nn.Linear(x.shape[1], x.shape[1], bias=False)
    linear.weight = nn.Parameter(torch.eye(x.shape[1]))
    act = QParams(4, torch.tensor(scale).numpy(), torch.tensor(8).numpy())
    layer = QuantLinear.from_float(linear, None, act)
    losses: list[float] = []
    twin = learnable(layer, {}, learn_scales=True)
    phase = Phase(
        **{"name": "scales", "iterations": 1000, "weights": False, "scales": True, "scale_lr": 2e-3}
        | more
    )
    torch.manual_seed(0)
    learn(twin, cached(x, target_of(x)), phase, lambda i, loss: losses.append(loss))
    settle(layer, twin)
    return float(layer.input_quantizer.scale), losses


@pytest.mark.parametrize("start", [0.15, 0.6])
def test_a_learned_scale_finds_the_least_error(start):
    x = torch.randn(512, 4, generator=torch.Generator().manual_seed(0))
    found, losses = scaled(start, lambda x: x, x, batch=256)

    def error(scale: float) -> float:
        levels = torch.clamp(torch.round(x / scale), -8, 7)
        return float((levels * scale - x).square().sum(dim=1).mean())

    best = min(error(s) for s in torch.linspace(0.1, 0.8, 300).tolist())
    assert error(start) > 1.3 * best
    assert error(found) < 1.05 * best  # its gradient is an estimate
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("start", [1.0, 3.0])
def test_scales_that_are_smaller_than_a_step_still_learn(start):
    """Probabilities in 0 .. 1: the rate is as large as the scale."""
    bits = 8
    x = torch.rand(256, 4, generator=torch.Generator().manual_seed(0))
    ideal = 1 / (2**bits - 1)
    act = QParams(bits, torch.tensor(start * ideal).numpy(), torch.tensor(0).numpy())
    linear = nn.Linear(4, 4, bias=False)
    layer = QuantLinear.from_float(linear, None, act)
    before = (layer(x) - linear(x)).square().mean()
    twin = learnable(layer, {}, learn_scales=True)
    phase = Phase(name="p", iterations=200, weights=False, scales=True, scale_lr=4e-3)
    torch.manual_seed(0)
    learn(twin, cached(x, linear(x)), phase, lambda *_: None)
    settle(layer, twin)
    assert layer.input_quantizer.scale > 0.9 * ideal
    assert (layer(x) - linear(x)).square().mean() <= 1.5 * before


@pytest.mark.parametrize(("bits", "learn"), [(8, True), (16, False)])
def test_scales_of_more_than_8_bits_stay(bits, learn):
    act = QParams(bits, torch.tensor(0.1).numpy(), torch.tensor(0).numpy())
    layer = QuantLinear.from_float(nn.Linear(4, 4), None, act)
    assert bool(scales(learnable(layer, {}, learn_scales=True))) is learn


@pytest.mark.parametrize("power", [2.0, 2.4])
def test_the_loss_sums_channels_and_averages_the_rest(power):
    """With as good as no learning, the losses that are heard are those of the batches drawn."""
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    more = {"batch": 5, "iterations": 3, "scale_lr": 1e-12, "power": power}
    _, losses = scaled(0.3, lambda x: x * 0, x, **more)
    torch.manual_seed(0)
    quantized = torch.clamp(torch.round(x / 0.3), -8, 7) * 0.3
    for loss in losses:
        rows = torch.randint(8, (5,))
        expected = quantized[rows].abs().pow(power).sum(dim=1).mean()
        assert loss == pytest.approx(float(expected), rel=1e-5)
    assert len(losses) == 3


def test_inner_layers_count_as_much_as_alpha_says():
    torch.manual_seed(0)
    unit = nn.Sequential(
        QuantLinear.from_float(nn.Linear(3, 4), None, QParams(4, *_grid_of(0.2))),
        nn.Linear(4, 2),
    )
    x, out, inner = torch.randn(6, 3), torch.randn(6, 2), torch.randn(6, 4)

    def first_loss(alpha: float) -> float:
        losses: list[float] = []
        cache = Cache(((x,), {}), ((x,), {}), out, {"0": inner} if alpha else {})
        phase = Phase(name="p", iterations=1, scales=True, weights=False, batch=6, alpha=alpha)
        torch.manual_seed(1)
        learn(learnable(unit, {}, True), cache, phase, lambda i, loss: losses.append(loss))
        return losses[0]

    torch.manual_seed(1)
    rows = torch.randint(6, (6,))
    with torch.no_grad():
        extra = (unit[0](x) - inner)[rows].square().sum(dim=1).mean()
    assert first_loss(0.8) - first_loss(0) == pytest.approx(0.8 * float(extra), rel=1e-4)


def _grid_of(scale: float):
    return torch.tensor(scale).numpy(), torch.tensor(8).numpy()


@pytest.mark.parametrize("drop", [0.0, 0.5, 1.0])
def test_inputs_are_mixed_with_the_float_models(drop):
    """The float inputs are ones, the quantized model's are zeros."""
    seen = []
    layer = QuantLinear.from_float(nn.Linear(16, 2), None, QParams(8, *_grid_of(0.1)))
    twin = learnable(layer, {}, learn_scales=True)
    twin.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    zeros = torch.zeros(32, 16)
    phase = Phase(name="p", iterations=20, weights=False, scales=True, input_drop=drop)
    learn(twin, cached(zeros, torch.zeros(32, 2), zeros + 1), phase, lambda *_: None)
    assert float(torch.stack(seen).mean()) == pytest.approx(drop, abs=0.03)


def test_at_most_fifty_losses_are_heard_however_long_it_takes():
    heard = []
    linear = nn.Linear(2, 2)
    layer = QuantLinear.from_float(linear, grid(linear.weight), None)
    x = torch.randn(8, 2)
    twin = learnable(layer, {"": linear.weight.detach()}, False)
    phase = Phase(name="p", iterations=333, batch=2)
    learn(twin, cached(x, linear(x)), phase, lambda i, loss: heard.append(i))
    assert heard[0] == 0
    assert heard[-1] == 332
    assert heard == sorted(set(heard))
    assert 25 <= len(heard) <= 50


def test_it_stops_when_asked():
    linear = nn.Linear(2, 2)
    layer = QuantLinear.from_float(linear, grid(linear.weight), None)
    x, asked = torch.randn(8, 2), iter([False, False, True])
    twin, heard = learnable(layer, {"": linear.weight.detach()}, False), []
    with pytest.raises(Cancelled):
        learn(
            twin,
            cached(x, linear(x)),
            Phase(name="p", iterations=9),
            lambda i, loss: heard.append(i),
            lambda: next(asked),
        )
    assert heard == [0, 1]


def test_rates_of_scales_sink_along_a_cosine_and_those_of_roundings_stay():
    linear = nn.Linear(4, 4)
    layer = QuantLinear.from_float(linear, grid(linear.weight), QParams(8, *_grid_of(5.0)))
    twin = learnable(layer, {"": linear.weight.detach()}, True)
    phase = Phase(name="p", iterations=100, weight_lr=0.3, scale_lr=0.02)
    optimizer, schedule = _optimizer(
        list(roundings(twin).values()), list(scales(twin).values()), phase
    )
    seen = []
    for _ in range(100):
        seen.append({id(g["params"][0]): g["lr"] for g in optimizer.param_groups})
        optimizer.step()
        schedule.step()
    rates = [found[id(scales(twin)["input_quantizer"])] for found in seen]
    expected = [0.02 * (1 + math.cos(math.pi * i / 100)) / 2 for i in range(100)]
    assert rates == pytest.approx(expected)
    assert {found[id(roundings(twin)[""].logit)] for found in seen} == {0.3}


def test_nothing_but_roundings_and_scales_is_learned():
    linear = nn.Linear(4, 4)
    layer = QuantLinear.from_float(linear, grid(linear.weight), QParams(8, *_grid_of(0.1)))
    twin = learnable(layer, {"": linear.weight.detach()}, True)
    learned = {id(p) for p in twin.parameters() if p.requires_grad}
    assert learned == {id(roundings(twin)[""].logit), id(scales(twin)["input_quantizer"])}
    assert layer.weight.data_ptr() != twin.quantized.weight.data_ptr()


def test_dropout_of_the_model_sleeps_while_its_unit_learns():
    linear = nn.Linear(4, 4)
    layer = QuantLinear.from_float(linear, grid(linear.weight), QParams(8, *_grid_of(0.01)))
    unit = nn.Sequential(nn.Dropout(0.5), layer)  # not even in evaluation mode
    x = torch.randn(16, 4)
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(learnable(unit, {}, True, drop=1.0)(x), expected)


def test_balanced_rows_have_the_same_error_and_as_much_as_before_in_sum_of_weights():
    """Row i errs by i + 1 in each of two channels: its error is (i + 1)^2."""
    errors = torch.arange(1.0, 5.0)[:, None, None, None].expand(4, 2, 3, 3)
    cache = cached(torch.zeros(4, 2, 3, 3), errors)
    weight = balance(nn.Identity(), cache, rows_at_once=3)  # [4]
    torch.testing.assert_close(weight * torch.tensor([1.0, 4.0, 9.0, 16.0]), weight[:1].expand(4))
    assert float(weight.mean()) == pytest.approx(1)
    weighted = _loss(torch.zeros_like(errors), errors, 2, weight)
    assert float(weighted) == pytest.approx(2 * 4 / (1 + 1 / 4 + 1 / 9 + 1 / 16))


def test_a_row_without_any_error_does_not_outweigh_all_others():
    """The smallest error counted is a thousandth of the mean, so weights stay finite."""
    target = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 1, 4, 4)
    weight = balance(nn.Identity(), cached(torch.zeros(2, 1, 4, 4), target), rows_at_once=2)
    assert float(weight[0] / weight[1]) == pytest.approx(2000)
    assert torch.isfinite(balance(nn.Identity(), cached(target, target), 2)).all()


def test_balance_lowers_the_error_of_rows_that_err_little():
    """Inputs of half the rows are thirty times larger; one rounding must serve both."""
    torch.manual_seed(1)
    x = torch.cat([30 * alike(64, 8), torch.randn(64, 8)])
    linear = nn.Linear(8, 4, bias=False)
    weight, numbers = linear.weight.detach(), grid(linear.weight)

    def relative(weighed: bool) -> float:
        layer, cache = QuantLinear.from_float(linear, numbers, None), cached(x, x @ weight.T)
        if weighed:
            cache = replace(cache, weight=balance(layer, cache, 32))
        adaround(layer, weight, cache)
        return float((layer(x[64:]) - cache.target[64:]).detach().square().mean())

    assert relative(True) < relative(False)
