"""Quantized models on disk: they come back exactly, or not at all."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analysis.errors import UserError
from analysis.models.load import from_pipeline
from analysis.quant import files
from analysis.quant.phase import LossPoint, curves, points_of
from analysis.quant.run import quantize
from analysis.quant.store import load_quantized, save_quantized

ROOT = Path(__file__).parents[2]
OVERRIDES = {f"*resnets.{i}.conv1": f"W{2 + i}A{7 - i}" for i in range(2)} | {"*to_q": "W7A6"}


def prediction(handle) -> torch.Tensor:
    x = torch.randn(4, *handle.sample_shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return handle.denoiser(x, 40).sample


@pytest.fixture(scope="module")
def quantized(handle, tiny_capture):
    return quantize(
        handle, plan="W5A4", calibration=tiny_capture, softmax_bits=16, overrides=OVERRIDES
    )


@pytest.fixture
def saved(quantized, tmp_path):
    return save_quantized(quantized, tmp_path / "run")


def test_a_loaded_model_computes_bit_for_bit_the_same(handle, quantized, saved):
    loaded = load_quantized(saved, handle)
    assert torch.equal(prediction(loaded.handle), prediction(quantized.handle))
    for field in ("plan", "method", "layers", "model_digest", "calibration", "skipped"):
        assert getattr(loaded, field) == getattr(quantized, field)
    assert (loaded.size_bytes, loaded.config) == (quantized.size_bytes, quantized.config)
    assert loaded.handle.name == quantized.handle.name


def test_the_same_in_a_new_process(handle, quantized, saved, tmp_path):
    handle.pipeline.save_pretrained(tmp_path / "float", safe_serialization=True)
    torch.save(prediction(quantized.handle), tmp_path / "expected.pt")
    code = f"""
import torch
from analysis.models.load import load_model
from analysis.quant.store import load_quantized
handle = load_quantized({str(saved)!r}, load_model({str(tmp_path / "float")!r}, "cpu")).handle
x = torch.randn(4, *handle.sample_shape, generator=torch.Generator().manual_seed(3))
with torch.no_grad():
    print(torch.equal(handle.denoiser(x, 40).sample, torch.load({str(tmp_path / "expected.pt")!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


def test_the_memory_layout_of_the_float_model_is_respected(handle, tiny_capture, tmp_path):
    denoiser = handle.with_denoiser(handle.denoiser).denoiser
    copy = type(denoiser).from_config(denoiser.config).eval()
    copy.load_state_dict(denoiser.state_dict())
    last = handle.with_denoiser(copy.to(memory_format=torch.channels_last))
    model = quantize(last, plan="W4A8", calibration=tiny_capture)
    loaded = load_quantized(save_quantized(model, tmp_path / "run"), last)
    name = "mid_block.resnets.0.conv1"
    strides = [m.denoiser.get_submodule(name).weight.stride() for m in (last, loaded.handle)]
    assert strides[0] == strides[1]
    assert torch.equal(prediction(loaded.handle), prediction(model.handle))


def test_four_bits_take_an_eighth(handle, tmp_path):
    model = quantize(handle, plan="W4A32", edge_bits=None)
    path = save_quantized(model, tmp_path / "run") / "weights.safetensors"
    numbers = sum(
        handle.denoiser.get_submodule(layer.name).weight.numel()
        for layer in handle.layers
        if layer.kind in ("conv", "linear")
    )
    grids = sum(g.weight.scale.size for g in model.qparams.values() if g.weight) * 8
    header = 120 * 3 * len(model.qparams)
    assert numbers / 2 <= path.stat().st_size <= numbers / 2 + grids + header


def test_nothing_is_pickled(saved):
    assert sorted(p.name for p in saved.iterdir()) == ["recipe.json", "weights.safetensors"]
    recipe = json.loads((saved / "recipe.json").read_text())
    assert recipe["model"] == "tiny0"
    assert set(recipe["versions"]) == {"python", "torch", "diffusers"}


def test_an_earlier_model_is_replaced(handle, quantized, saved):
    other = quantize(handle, plan="W2A32")
    assert save_quantized(other, saved) == saved
    assert load_quantized(saved, handle).plan == other.plan
    assert [p.name for p in saved.parent.iterdir()] == ["run"]


def test_a_folder_with_something_else_is_left_alone(quantized, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else; choose a new folder"):
        save_quantized(quantized, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("there_before", [False, True])
@pytest.mark.parametrize("failing", ["weights.safetensors", "recipe.json"])
def test_a_full_disk_leaves_nothing_half_done(
    handle, quantized, tmp_path, monkeypatch, failing, there_before
):
    folder = tmp_path / "run"
    if there_before:
        save_quantized(quantized, folder)
    write = files._write

    def full(path: Path, content: bytes) -> None:
        if path.name == failing:
            path.write_bytes(content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(files, "_write", full)
    other = quantize(handle, plan="W2A32")
    with pytest.raises(UserError, match=r"could not be written \(No space left on device\)"):
        save_quantized(other, folder)
    assert [p.name for p in tmp_path.iterdir()] == (["run"] if there_before else [])
    if there_before:
        assert load_quantized(folder, handle).plan == quantized.plan


def test_another_model_is_refused(other_handle, saved):
    with pytest.raises(UserError, match="made from another model than tiny1"):
        load_quantized(saved, other_handle)


def test_a_missing_folder_or_file_is_named(handle, saved, tmp_path):
    with pytest.raises(UserError, match=r"is no quantized model: recipe.json cannot be read"):
        load_quantized(tmp_path / "nowhere", handle)
    (saved / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights.safetensors cannot be read"):
        load_quantized(saved, handle)


@pytest.mark.parametrize("change", ["cut", "flip", "append"])
def test_changed_weights_are_noticed(handle, saved, change):
    path = saved / "weights.safetensors"
    content = bytearray(path.read_bytes())
    if change == "cut":
        content = content[: len(content) // 2]
    elif change == "flip":
        content[-1] ^= 1
    else:
        content += b"\0"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged .*changed or cut short.*quantize again"):
        load_quantized(saved, handle)


def test_a_changed_recipe_is_noticed(handle, saved):
    path = saved / "recipe.json"
    path.write_text(path.read_text().replace('"rtn"', '"best"'))
    with pytest.raises(UserError, match=r"recipe.json was changed"):
        load_quantized(saved, handle)
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match="damaged"):
        load_quantized(saved, handle)


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"format": "zip"}'])
def test_foreign_json_is_no_recipe(handle, saved, content):
    (saved / "recipe.json").write_text(content)
    with pytest.raises(UserError, match="is no quantized model"):
        load_quantized(saved, handle)


def test_a_format_from_the_future_is_named(handle, saved):
    path = saved / "recipe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(UserError, match="format version 99, but only 2 is known"):
        load_quantized(saved, handle)


def signed_again(saved: Path, **changes) -> None:
    path = saved / "recipe.json"
    path.write_text(json.dumps(files._signed(json.loads(path.read_text()) | changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"bits": {"conv_in": [7, 8]}},  # another width than the bytes have
        {"bits": {"no.such.layer": [4, 4]}},
        {"bits": {"conv_in": "W"}},
        {"layers": [{"name": "conv_in"}]},
        {"plan": {}},
        {"plan": None},
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_even_if_signed(handle, saved, changes):
    signed_again(saved, **changes)
    with pytest.raises(UserError):
        load_quantized(saved, handle)


def test_a_bundled_model_is_loaded_by_name(handle, quantized, tmp_path, monkeypatch):
    import analysis.models.load as load

    saved = save_quantized(quantized, tmp_path / "run")
    asked: list[str] = []

    def load_model(name: str):
        asked.append(name)
        return from_pipeline(handle.pipeline, name)

    monkeypatch.setattr(load, "load_model", load_model)
    assert torch.equal(prediction(load_quantized(saved).handle), prediction(quantized.handle))
    assert asked == ["tiny0"]


def test_numbers_that_json_cannot_hold_never_get_there(quantized, tmp_path):
    rows = tuple(replace(row, sqnr_db=float("inf")) for row in quantized.layers)
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_quantized(replace(quantized, layers=rows), tmp_path / "run")


def test_losses_are_kept_as_a_curve_for_every_block():
    blocks = [("weights", "down.0", 40), ("weights", "up.0", 40), ("scales", "down.0", 9)]
    points = [LossPoint(p, unit, i, n, i / 7) for p, unit, n in blocks for i in (0, 8)]
    rows = curves(points)
    assert [(row["phase"], row["unit"], row["iterations"]) for row in rows] == blocks
    assert all(row["at"] == [0, 8] for row in rows)
    assert points_of(json.loads(json.dumps(rows))) == points
    assert curves([]) == points_of([]) == []
