"""The benchmark of the cost model and that of a GPU, on the smallest settings there are."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from benchmarks import capture_cost, gpu, simulation
from benchmarks.cost import RUNS, one
from tests.elsewhere import Device, elsewhere


def test_without_a_gpu_it_says_so_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.gpu() == {"gpu": gpu.NONE}


def test_with_one_both_models_are_measured_there(ddpm, monkeypatch):
    for name in ("STEPS", "SAMPLES", "ROUNDS"):
        monkeypatch.setattr(capture_cost, name, 1)
    monkeypatch.setattr(simulation, "ROUNDS", 4)
    monkeypatch.setattr(gpu, "wide_model", lambda widths, size: elsewhere(ddpm))
    quick = partial(gpu.compile_time, steps=1, samples=1, rounds=1)
    monkeypatch.setattr(gpu, "compile_time", quick)
    with Device() as device:
        found = gpu.gpu()
    torch._dynamo.reset()
    assert device.waits["synchronize"] >= 4 * 4  # before and after each call that is timed
    assert found["gpu"] == "an imitation"
    for model in ("bundled", "wide"):
        ratios = [found[f"{model}_{name}"] for name in ("ratio", "ratio_exact")]
        assert min(*ratios, found[f"{model}_eager_over_compiled"]) > 0


def test_a_model_that_does_not_compile_has_its_reason_in_the_place_of_a_ratio(ddpm, monkeypatch):
    def fail(graph, inputs):
        raise RuntimeError("nothing to compile with")

    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile(model, backend=fail))
    found = gpu.compile_time(ddpm, steps=2, samples=1, rounds=1)
    torch._dynamo.reset()
    assert list(found) == ["not_compiled"]
    assert "nothing to compile with" in found["not_compiled"]


def test_compiled_sampling_is_compared_with_plain(ddpm, monkeypatch):
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile(model, backend="eager"))
    found = gpu.compile_time(ddpm, steps=2, samples=1, rounds=1)
    torch._dynamo.reset()
    ratio = found["eager_s"] / found["compiled_s"]
    assert found["eager_over_compiled"] == pytest.approx(ratio)


def test_what_was_foretold_stands_beside_what_was_taken():
    assert {arguments["work"] for arguments in RUNS.values()} == {
        *("capture", "calibrate", "quantize", "sweep")
    }
    found = one({"work": "capture", "steps": 2, "samples": 1, "layers": "conv_in"})
    assert set(found) == {"foretold_s", "taken_s", "probe_s", "foretold_mb", "taken_mb"}
    assert min(found.values()) > 0
