"""What every registered method promises."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler

from analysis.errors import Cancelled, UserError
from analysis.methods import METHODS
from analysis.methods.job import Job
from analysis.methods.method import PRESETS, make_config
from analysis.models.load import from_pipeline
from analysis.quant.plan import QuantPlan
from analysis.quant.run import quantize
from analysis.quant.store import load_quantized, save_quantized
from tests.conftest import tiny_unet

names = pytest.mark.parametrize("name", list(METHODS))
with_parts = pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name in METHODS for part in METHODS.get(name).parts]
)
# Two iterations tell as much about a promise as 20,000.
SMALL = {
    "calibration_size": 4,
    "calibration_steps": 2,
    "iterations": 2,
    "weight_iterations": 2,
    "act_iterations": 2,
    "batch": 2,
}


def small(name: str) -> dict[str, int]:
    """Options of a method that make it quick; none where it has none."""
    known = {field.name for field in fields(METHODS.get(name).config)}
    return {option: value for option, value in SMALL.items() if option in known}


@pytest.fixture(scope="module")
def handle():
    unet = tiny_unet(block_out_channels=(8, 8))
    return from_pipeline(DDIMPipeline(unet, DDIMScheduler(num_train_timesteps=50)), "tiny")


@pytest.fixture(scope="module")
def calibrations(handle):
    made = {}
    for name in METHODS:
        method = METHODS.get(name)
        config = make_config(method, "instant", small(name))
        made[name] = method.calibrate(handle, config, Job(seed=0))
    return made


@pytest.fixture(scope="module")
def run(handle, calibrations):
    """Quantize by a method with options that make it quick."""
    return lambda name, plan, **more: quantize(
        handle, name, plan, calibrations[name], **small(name), **more
    )


def prediction(handle) -> torch.Tensor:
    x = torch.randn(4, *handle.sample_shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return handle.denoiser(x, 20).sample


@names
def test_it_says_what_it_is(name):
    method = METHODS.get(name)
    assert method.name == name
    assert method.title
    assert method.summary.endswith(".")


@names
def test_its_configuration_is_frozen_and_declared(name):
    config = METHODS.get(name).config
    assert is_dataclass(config)
    with pytest.raises(AttributeError):
        config().weight_estimator = "lp"
    for field in fields(config):
        assert field.metadata["help"], field.name
        default, choices = field.default, field.metadata["choices"]
        assert choices is None or default in choices
        bounds = field.metadata["range"]
        assert bounds is None or default is None or bounds[0] <= default <= bounds[1]
    json.dumps(asdict(config()), allow_nan=False)


@names
def test_it_has_every_preset(name):
    method = METHODS.get(name)
    assert tuple(method.presets) == PRESETS
    for preset in PRESETS:
        assert isinstance(make_config(method, preset, {}), method.config)


@names
@pytest.mark.parametrize("plan", ["W4A32", "W32A6", "W4A8"])
def test_it_quantizes_what_the_plan_says_and_nothing_else(handle, run, name, plan):
    before = {k: v.clone() for k, v in handle.denoiser.state_dict().items()}
    quantized = run(name, plan)
    input_bits = METHODS.get(name).config().input_bits
    wanted = QuantPlan.parse(plan, input_bits=input_bits).resolve(handle)
    assert [row.name for row in quantized.layers] == list(wanted)
    for row in quantized.layers:
        weight, act = wanted[row.name].weight, wanted[row.name].act
        if row.name not in quantized.skipped:
            assert row.act_bits == (act.bits if act else 32)
        if row.weight_bits is not None:
            assert row.weight_bits == (weight.bits if weight else 32)
    assert quantized.method == name
    assert quantized.model_digest == handle.digest
    assert not torch.equal(prediction(quantized.handle), prediction(handle))
    after = handle.denoiser.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@names
def test_eight_bits_are_closer_to_float_than_three(handle, run, name):
    expected = prediction(handle)
    errors = [
        (prediction(run(name, plan).handle) - expected).square().mean() for plan in ("W8A8", "W3A3")
    ]
    assert errors[0] < errors[1]


@names
def test_the_same_call_gives_the_same_model(handle, run, name):
    first, second = (run(name, "W4A8") for _ in range(2))
    assert torch.equal(prediction(first.handle), prediction(second.handle))


@names
def test_its_models_come_back_from_disk_exactly(handle, run, name, tmp_path):
    quantized = run(name, "W4A8")
    loaded = load_quantized(save_quantized(quantized, tmp_path / "run"), handle)
    assert torch.equal(prediction(loaded.handle), prediction(quantized.handle))
    assert (loaded.method, loaded.config) == (name, quantized.config)
    assert loaded.losses == quantized.losses


@names
def test_it_reports_progress_and_stops_when_asked(handle, run, name):
    seen: list[float] = []

    def progress(done: int, total: int, text: str) -> None:
        assert text
        assert 0 <= done <= total
        seen.append(done / total)

    run(name, "W4A8", progress=progress)
    assert seen[-1] == 1
    for before, now in pairwise(seen):
        assert now >= before or before == 1  # a stage that is whole makes room for the next
    with pytest.raises(Cancelled):
        run(name, "W4A8", should_stop=lambda: True)


@names
def test_it_refuses_options_it_does_not_have(handle, name):
    with pytest.raises(UserError, match="has no option 'no_such_option'; its options are: "):
        quantize(handle, name, "W4A32", no_such_option=1)


@names
def test_only_what_learns_records_losses(run, name):
    heard = []
    quantized = run(name, "W4A8", on_loss=heard.append)
    assert bool(heard) is METHODS.get(name).learns
    assert tuple(heard) == quantized.losses


@with_parts
def test_a_part_that_is_left_out_changes_its_options_and_no_others(name, part):
    method = METHODS.get(name)
    assert method.parts[part].help
    whole, less = (asdict(make_config(method, "fast", {}, w)) for w in ((), (part,)))
    off = dict(method.parts[part].off)
    assert {option: less[option] for option in off} == off
    assert {k for k in whole if whole[k] != less[k]} == set(off)


@names
def test_it_refuses_parts_it_does_not_have(handle, name):
    known = METHODS.get(name).parts
    listed = f"choose among: {', '.join(known)}" if known else "it has no parts"
    with pytest.raises(UserError) as refused:
        quantize(handle, name, "W4A32", without=["no-such-part"])
    assert str(refused.value) == (
        f"The method {name!r} has no part 'no-such-part' to leave out; {listed}."
    )
