"""One weight from its file, as the loaded model has it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from analysis.models.weight_file import read_weight

ROOT = Path(__file__).parents[2]
LAYER = "up_blocks.0.resnets.0.conv_shortcut"


def test_it_is_the_weight_of_the_loaded_model(folders, ddpm):
    found = read_weight(str(folders("ddpm")), LAYER)
    assert found.tolist() == ddpm.denoiser.get_submodule(LAYER).weight.tolist()


def test_bundled_models_are_found_by_name():
    assert read_weight("fashion", "up_blocks.1.resnets.0.conv_shortcut").shape == (64, 128, 1, 1)


def test_a_shard_further_on_is_found(folders, tmp_path):
    folder = Path(shutil.copytree(folders("ddpm"), tmp_path / "sharded"))
    (whole,) = (folder / "unet").glob("*.safetensors")
    tensors = load_file(whole)
    whole.unlink()
    last = {f"{LAYER}.weight": tensors.pop(f"{LAYER}.weight")}
    save_file(tensors, folder / "unet" / "a.safetensors")
    save_file(last, folder / "unet" / "b.safetensors")
    assert np.array_equal(read_weight(str(folder), LAYER), last[f"{LAYER}.weight"])


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        ("fashion", "no.such.layer"),
        ("../models/fashion/scheduler", LAYER),
        ("nobody/nothing-here", LAYER),
        ("", LAYER),
        ("\0", LAYER),
    ],
)
def test_what_is_not_here_is_none(model, layer):
    assert read_weight(model, layer) is None


def test_a_damaged_file_is_none(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "x.safetensors").write_bytes(b"not safetensors")
    assert read_weight(str(tmp_path), LAYER) is None


def test_no_torch_is_loaded():
    code = (
        "import sys; from analysis.models.weight_file import read_weight;"
        "read_weight('fashion', 'conv_in'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
