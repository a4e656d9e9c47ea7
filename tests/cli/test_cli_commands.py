"""Every command: one JSON object with what was promised, or lines for people."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import analysis

SHORTCUT_KEYS = {
    "layer",
    "timestep",
    "range_h",
    "range_skip",
    "range_ratio",
    "dip_p",
    "ashman_d",
    "bimodal",
    "sqnr_db_joint",
    "sqnr_db_split",
    "sqnr_db_small_half_joint",
    "sqnr_db_small_half_split",
}


@pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])
def test_info(said, folders, models, family):
    told = said("info", "--model", folders(family))
    model = models(family)
    assert told["model"] == str(folders(family))
    assert told["parameters"] == model.parameters
    assert told["layers"] == [
        {"name": x.name, "kind": x.kind, "shape": list(x.shape)} for x in model.layers
    ]
    cuts = [(s["layer"], s["channels_h"], s["channels_skip"]) for s in told["shortcuts"]]
    assert cuts == [(s.layer, s.channels_h, s.channels_skip) for s in model.shortcuts]
    assert told["memory_mb"]["weights"] == pytest.approx(model.parameters * 4 / 1e6)


def test_capture(said, folders, ddpm, tmp_path):
    told = said(
        *("capture", "--model", folders("ddpm"), "--steps", 3, "--samples", 2, "--seed", 5),
        *("--out", tmp_path / "run"),
    )
    assert {"run", "layers", "timesteps", "samples", "seconds", "peak_mb"} <= set(told)
    assert told["run"] == str(tmp_path / "run")
    assert told["samples"] == 2
    done = analysis.load_capture(tmp_path / "run" / "capture.safetensors")
    direct = analysis.capture(ddpm, steps=3, samples=2, seed=5)
    assert told["timesteps"] == done.timesteps.tolist() == direct.timesteps.tolist()
    assert told["layers"] == [layer.name for layer in done.layers]
    for one, other in zip(done.stats, direct.stats, strict=True):
        assert np.array_equal(one.mean, other.mean)
        assert np.array_equal(one.histogram.counts, other.histogram.counts)
    bounds = [stats.share_bound(step) for stats in done.stats for step in range(3)]
    assert told["share_bound"] == max(bounds)


def test_capture_with_every_option(said, folders, tmp_path):
    told = said(
        *("capture", "--model", folders("sd"), "--steps", 2, "--samples", 1, "--exact"),
        *("--layers", "conv_in,*#softmax", "--scheduler", "heun", "--prompt", "a cat"),
        *("--guidance", 2.5, "--device", "cpu", "--out", tmp_path / "run"),
    )
    done = analysis.load_capture(tmp_path / "run" / "capture.safetensors")
    assert done.exact
    assert done.spec.scheduler == "heun"
    assert (done.spec.prompt, done.spec.guidance_scale) == ("a cat", 2.5)
    assert told["layers"][0] == "conv_in"
    assert all(name == "conv_in" or name.endswith("#softmax") for name in told["layers"])


@pytest.mark.parametrize("inside", [True, False])
def test_shortcuts(said, runs, ddpm, inside):
    run = runs / "capture" / "capture.safetensors" if inside else runs / "capture"
    told = said("shortcuts", run)
    assert [row["layer"] for row in told["shortcuts"]] == [s.layer for s in ddpm.shortcuts]
    for row in told["shortcuts"]:
        assert set(row) >= SHORTCUT_KEYS
        assert isinstance(row["bimodal"], bool)
        for key in (key for key in SHORTCUT_KEYS if key.startswith("sqnr")):
            assert set(row[key]) == {str(bits) for bits in range(2, 9)}


def test_shortcuts_at_a_timestep(said, runs):
    done = analysis.load_capture(runs / "capture" / "capture.safetensors")
    told = said("shortcuts", runs / "capture", "--timestep", done.timesteps[0])
    assert {row["timestep"] for row in told["shortcuts"]} == {done.timesteps[0]}


def test_quantize(said, folders, ddpm, runs, tmp_path):
    told = said(
        *("quantize", "--model", folders("ddpm"), "--method", "rtn", "--plan", "w4a8"),
        *("--preset", "instant", "--calibration", runs / "capture", "--out", tmp_path / "run"),
    )
    assert {"run", "method", "plan", "seconds", "layers", "size_mb", "float_size_mb"} <= set(told)
    assert (told["method"], told["plan"]) == ("rtn", "W4A8")
    assert told["size_mb"] < told["float_size_mb"]
    assert [row["name"] for row in told["layers"]] == [layer.name for layer in ddpm.layers]
    for row in told["layers"]:
        assert {"name", "weight_bits", "act_bits", "sqnr_db"} <= set(row)
    loaded = analysis.load_quantized(tmp_path / "run", ddpm)
    assert loaded.plan.text == "W4A8"


def test_quantize_with_options(said, folders, ddpm, tmp_path):
    told = said(
        *("quantize", "--model", folders("ddpm"), "--plan", "W4A32", "--out", tmp_path / "run"),
        *("--set", "weight_estimator=lp", "--set", "edge_bits=none", "--seed", 1),
        *("--set", "weight_symmetric=true", "--override", "mid_block*=W6A32"),
    )
    loaded = analysis.load_quantized(tmp_path / "run", ddpm)
    assert loaded.config["weight_estimator"] == "lp"
    assert loaded.config["edge_bits"] is None
    assert loaded.config["weight_symmetric"] is True
    bits = {row["name"]: row["weight_bits"] for row in told["layers"]}
    assert bits["conv_in"] == 4
    assert bits["mid_block.resnets.0.conv1"] == 6


def test_compare(said, ddpm, runs, tmp_path):
    told = said(
        *("compare", "--quantized", runs / "quantized", "--samples", 3, "--steps", 2),
        *("--seed", 4, "--out", tmp_path / "run"),
    )
    assert {
        "psnr_db",
        "ssim",
        "sqnr_db",
        "frechet_float",
        "frechet_quantized",
        "divergence",
    } <= set(told)
    assert {"seconds_float", "seconds_quantized"} <= set(told)
    loaded = analysis.load_quantized(runs / "quantized", ddpm)
    direct = analysis.compare(ddpm, loaded, samples=3, steps=2, seed=4)
    for key in ("psnr_db", "ssim", "sqnr_db", "divergence"):
        assert told[key] == pytest.approx(direct.values[key], rel=1e-6), key
    for name, pictures in (("float", direct.reference), ("quantized", direct.candidate)):
        shown = np.asarray(Image.open(tmp_path / "run" / f"{name}.png"))
        expected = np.concatenate([np.round(p[0] * 255) for p in pictures], axis=1)
        assert np.array_equal(shown, expected)


def test_compare_of_what_is_equal_has_null_for_infinity(said, folders, tmp_path):
    said(
        *("quantize", "--model", folders("ddpm"), "--plan", "W32A32", "--set", "edge_bits=32"),
        *("--out", tmp_path / "same"),
    )
    # Of a single row some processors' sums depend on where in memory a weight's copy lies.
    told = said("compare", "--quantized", tmp_path / "same", "--samples", 2, "--steps", 2)
    assert told["psnr_db"] is None
    assert told["divergence"] == [0.0, 0.0]


def test_export(said, ddpm, runs, tmp_path):
    told = said("export", "--quantized", runs / "quantized", "--out", tmp_path / "out")
    assert set(told) >= {"files", "bytes"}
    assert told["files"] == [
        str(tmp_path / "out" / name) for name in ("recipe.json", "weights.safetensors")
    ]
    assert told["bytes"] == sum(
        (tmp_path / "out" / n).stat().st_size for n in ("recipe.json", "weights.safetensors")
    )
    assert analysis.load_quantized(tmp_path / "out", ddpm).plan.text == "W4A8"


def test_lines_for_people(cli, folders, runs, tmp_path):
    capture = ("capture", "--model", folders("ddpm"), "--steps", 2, "--samples", 1)
    quantize = ("quantize", "--model", folders("ddpm"), "--plan", "W4A32")
    compare = ("compare", "--quantized", runs / "quantized", "--samples", 1, "--steps", 2)
    for i, (arguments, words) in enumerate(
        [
            (("info", "--model", folders("ddpm")), "shortcuts (h + skip channels):"),
            ((*capture, "--out", tmp_path / "a"), "timesteps in"),
            (("shortcuts", runs / "capture"), "bimodal"),
            ((*quantize, "--out", tmp_path / "b"), "predicted SQNR"),
            (compare, "(N = 1, 2 steps)"),
            (("export", "--quantized", runs / "quantized", "--out", tmp_path / "c"), "MB"),
        ]
    ):
        status, out, err = cli(*arguments)
        assert (status, err) == (0, ""), i
        assert words in out
        with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
            json.loads(out)


def test_help_names_every_command(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = cli("--help")
    assert (status, err) == (0, "")
    for command in ("info", "capture", "shortcuts", "quantize", "compare", "export"):
        assert command in out
