"""Finished units on disk: a run that was stopped goes on where it was, to the same end."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import analysis
from analysis.calibration import calibrate
from analysis.errors import Cancelled, UserError
from analysis.quant.blocks import units
from analysis.quant.finished import Finished
from analysis.quant.run import quantize
from analysis.quant.store import save_quantized

OPTIONS = {"weight_iterations": 3, "act_iterations": 2, "batch": 2}


@pytest.fixture(scope="module")
def calibration(handle):
    return calibrate(handle, "random", 4, 0, 2, with_report=False)


@pytest.fixture(scope="module")
def run(handle, calibration):
    """Quantize by Q-Diffusion in a few iterations: the model, and the units that learned."""

    def go(keep=None, **more):
        learned = []

        def on_loss(point) -> None:
            if (point.phase, point.unit) not in learned:
                learned.append((point.phase, point.unit))

        arguments = {"calibration": calibration, "plan": "W3A4"} | OPTIONS | more
        done = quantize(handle, "q-diffusion", keep=keep, on_loss=on_loss, **arguments)
        return done, learned

    return go


@pytest.fixture(scope="module")
def whole(run):
    return run()


def contents(model, folder) -> dict[str, bytes]:
    save_quantized(model, folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def stop_after(count: int):
    """A `should_stop` for `on_loss`-counted units."""
    seen: list[str] = []

    def on_loss(point) -> None:
        if (point.phase, point.unit) not in seen:
            seen.append((point.phase, point.unit))

    return on_loss, lambda: len(seen) > count, seen


@pytest.mark.parametrize("count", [1, 5, 20])
def test_a_run_that_was_stopped_goes_on_to_the_same_end(
    handle, calibration, run, whole, tmp_path, count
):
    on_loss, should_stop, _ = stop_after(count)
    keep = tmp_path / "finished"
    with pytest.raises(Cancelled):
        quantize(
            handle,
            "q-diffusion",
            "W3A4",
            calibration,
            keep=keep,
            on_loss=on_loss,
            should_stop=should_stop,
            **OPTIONS,
        )
    names = whole[1]
    assert sorted(path.name for path in keep.iterdir()) == sorted(
        f"{phase}.{unit}.safetensors" for phase, unit in names[:count]
    )
    assert Finished(keep, "").count() == count
    resumed, learned = run(keep)
    assert learned == names[count:]
    assert resumed.losses == whole[0].losses
    assert contents(resumed, tmp_path / "a") == contents(whole[0], tmp_path / "b")
    again, learned = run(keep)
    assert learned == []
    assert contents(again, tmp_path / "c") == contents(resumed, tmp_path / "a")


def test_every_unit_of_both_walks_is_kept(handle, run, tmp_path):
    _, learned = run(tmp_path)
    names = units(handle)
    coarse = [n for n in names if n != "conv_in"]  # x_t has 16 bits: its scale is not learned
    assert learned == [("weights", n) for n in names] + [("scales", n) for n in coarse]
    assert Finished(tmp_path, "").count() == len(learned)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"weight_lr": 0.5},
        {"plan": "W3A5"},
        {"preset": "fast"},
        {"without": ["split"]},
        {"calibration": 1},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_another_run_finished_is_not_taken_over(handle, run, whole, tmp_path, other):
    run(tmp_path)
    if "calibration" in other:
        other = {"calibration": calibrate(handle, "random", 4, 9, 2, with_report=False)}
    expected, all_units = run(**other)
    found, learned = run(tmp_path, **other)
    assert learned == all_units
    assert found.losses == expected.losses
    assert run(tmp_path, **other)[1] == []  # they took the place of the earlier ones


def test_units_of_another_model_are_not_taken_over(other_handle, run, whole, tmp_path):
    run(tmp_path)
    own = calibrate(other_handle, "random", 4, 0, 2, with_report=False)
    heard = []
    quantize(
        other_handle, "q-diffusion", "W3A4", own, keep=tmp_path, on_loss=heard.append, **OPTIONS
    )
    assert {(p.phase, p.unit) for p in heard} == set(whole[1])


@pytest.mark.parametrize("how", ["cut short", "changed", "empty", "foreign", "gone"])
def test_a_damaged_file_is_learned_again(run, whole, tmp_path, how):
    run(tmp_path / "kept")
    unit = whole[1][3]
    path = tmp_path / "kept" / f"{unit[0]}.{unit[1]}.safetensors"
    content, before = path.read_bytes(), load_file(path)
    if how == "gone":
        path.unlink()
    else:
        last = bytes([content[-1] ^ 1])
        path.write_bytes(
            {
                "cut short": content[: len(content) // 2],
                "changed": content[:-1] + last,
                "empty": b"",
                "foreign": json.dumps({"key": 1}).encode(),
            }[how]
        )
    again, learned = run(tmp_path / "kept")
    assert learned == [unit]
    assert again.losses == whole[0].losses
    after = load_file(path)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_full_disk_says_so_and_leaves_no_half_file(run, tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(UserError, match="could not be written"):
        run(tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())


def test_files_hold_bits_and_scales_and_nothing_else(handle, run, tmp_path):
    quantized, _ = run(tmp_path)
    unit = next(u for u in units(handle) if "resnets" in u)
    weights = load_file(tmp_path / f"weights.{unit}.safetensors")
    for name, packed in weights.items():
        layer = handle.denoiser.get_submodule(f"{unit}.{name.removeprefix('up.')}")
        assert packed.dtype == np.uint8
        assert packed.size == -(-layer.weight.numel() // 8)
    scales = load_file(tmp_path / f"scales.{unit}.safetensors")
    for name, scale in scales.items():
        layer = name.removeprefix("scale.").removesuffix(".input_quantizer")
        assert np.array_equal(quantized.qparams[f"{unit}.{layer}"].act.scale, scale)


def test_the_library_takes_a_folder_by_its_name(handle, calibration, tmp_path):
    assert analysis.quantize is quantize
    options = {"plan": "W4A32", "calibration": calibration, "iterations": 1, "batch": 2}
    first = quantize(handle, "eda-dm", keep=str(tmp_path / "kept"), **options)
    second = quantize(handle, "eda-dm", keep=tmp_path / "kept", **options)
    assert first.losses == second.losses
    one, two = (list(m.handle.denoiser.parameters()) for m in (first, second))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
