"""Two models in one pass: each half must be what its model computes alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.calibration import calibrate
from analysis.calibration.passes import conditioning_of
from analysis.quant.assemble import assemble
from analysis.quant.blocks import units
from analysis.quant.estimate import estimate_qparams
from analysis.quant.pairs import Calls, Pair, cache, stored
from analysis.quant.phase import Phase
from analysis.quant.plan import QuantPlan
from analysis.quant.reconstruct import _Walk

ROWS = 3


class Spy(_Walk):
    """A walk that learns nothing and writes down what its units are given and answer."""

    def learn(self, name, floating, quantized, calls: Calls) -> None:
        self.seen = getattr(self, "seen", {})
        assert name not in self.seen
        self.seen[name] = (
            calls.run(quantized, calls.quantized, 32),
            calls.run(floating, calls.floating, 32),
        )


def answers(denoiser: nn.Module, names, model, calibration) -> dict[str, torch.Tensor]:
    """What each unit of one model answers when the model runs alone on the set."""
    found: dict[str, torch.Tensor] = {}
    hooks = [
        denoiser.get_submodule(n).register_forward_hook(
            lambda m, args, out, n=n: found.setdefault(n, out)
        )
        for n in names
    ]
    told = conditioning_of(calibration, model)
    x = torch.from_numpy(calibration.x_t)
    t = torch.from_numpy(calibration.t).float()
    copies = 2 if told.guided else 1
    kwargs = told.for_batch(calibration.size)
    denoiser(x.repeat(copies, 1, 1, 1), t.repeat(copies), **kwargs)
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
@pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])
def test_each_half_is_what_its_model_computes_alone(models, family):
    model = models(family)
    calibration = calibrate(model, "random", ROWS, 0, 4, with_report=False)
    grids, _ = estimate_qparams(model, QuantPlan.parse("W4A32"), {})
    converted = assemble(model, grids).denoiser
    walk = Spy(model, Phase(name="w", iterations=0), 0, None, None, None, None)
    walk.pass_through(converted, calibration)
    names = units(model)
    assert list(walk.seen) == list(names)
    alone = answers(model.denoiser, names, model, calibration)
    rounded = answers(converted, names, model, calibration)
    for name in names:
        quantized, floating = walk.seen[name]
        assert torch.equal(floating, alone[name]), name
        assert torch.equal(quantized, rounded[name]), name
        assert not torch.equal(quantized, floating), name
    assert not any(isinstance(m, Pair) for m in converted.modules())


def test_a_call_is_parted_by_rows_and_everything_else_is_shared():
    x, context, table = torch.arange(8.0).view(4, 2), torch.arange(4), torch.zeros(3)
    calls = Calls((x, None), {"deep": {"context": context}, "table": table, "word": "a"}, 2)
    assert torch.equal(calls.quantized[0][0], x[:2])
    assert torch.equal(calls.floating[0][0], x[2:])
    assert calls.quantized[0][1] is None
    assert torch.equal(calls.floating[1]["deep"]["context"], context[2:])
    assert calls.quantized[1]["table"] is table
    assert calls.quantized[1]["word"] == "a"


def test_a_pair_answers_for_both_a_few_rows_at_a_time():
    torch.manual_seed(0)
    floating, quantized, sizes = nn.Linear(3, 2), nn.Linear(3, 2), []
    quantized.register_forward_hook(lambda m, args, out: sizes.append(len(args[0])))
    learned = []
    pair = Pair("u", floating, quantized, lambda *args: learned.append(args[0]), rows=5, batch=2)
    x = torch.randn(10, 3)
    torch.testing.assert_close(pair(x), torch.cat([quantized(x[:5]), floating(x[5:])]))
    assert learned == ["u"]
    assert sizes[:3] == [2, 2, 1]


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_cache_holds_the_float_units_answers_and_its_inner_layers(where, monkeypatch):
    if where == "disk":
        monkeypatch.setattr("analysis.quant.pairs.LARGE", 1)
    torch.manual_seed(0)
    unit = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(10, 3)
    with torch.no_grad():
        kept = cache(unit, Calls((x,), {}, 5), ["0"], 2)
        torch.testing.assert_close(kept.target, unit(x[5:]))
        torch.testing.assert_close(kept.inner["0"], unit[0](x[5:]))
    assert torch.equal(kept.quantized[0][0], x[:5])
    assert torch.equal(kept.floating[0][0], x[5:])
    assert kept.rows == 5
    assert not unit[0]._forward_hooks


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
def test_what_is_kept_on_disk_is_what_was_given_and_leaves_no_file(
    shape, dtype, monkeypatch, tmp_path
):
    monkeypatch.setattr("analysis.quant.pairs.LARGE", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 100).to(dtype)
    kept = stored(x.transpose(0, -1))
    assert torch.equal(kept, x.transpose(0, -1))
    layout = torch.channels_last if kept.ndim == 4 else torch.contiguous_format
    assert kept.is_contiguous(memory_format=layout)
    assert kept.data_ptr() != x.data_ptr()
    assert not list(tmp_path.iterdir())
