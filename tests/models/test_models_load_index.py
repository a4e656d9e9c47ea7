"""A pipeline's JSON files and parts: damaged, foreign, missing."""

from __future__ import annotations

import shutil

import pytest


@pytest.mark.parametrize(
    "content",
    ["", "{", "no json", "[]", "null", "3", '"text"', "\x00", '{"unet": 3}', "{}"],
)
def test_a_damaged_index(copy, content, refusal):
    folder = copy("ddpm")
    (folder / "model_index.json").write_text(content)
    refusal(folder)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [None, None],
        [],
        ["diffusers"],
        ["diffusers", None],
        ["diffusers", "NoSuchUNet"],
        ["diffusers", "DDIMScheduler"],
        ["diffusers", "UNet1DModel"],
        ["diffusers", "AutoencoderKL"],
        ["os", "system"],
        ["diffusers", "UNet2DModel", "more"],
        "UNet2DModel",
        {"library": "diffusers"},
        7,
    ],
)
def test_an_index_without_a_usable_unet(copy, entry, refusal, edit_json):
    folder = copy("ddpm")
    edit_json(folder / "model_index.json", unet=entry)
    assert refusal(folder) == (
        f"{folder.name} (DDPMPipeline) has no UNet; only pipelines with a UNet2DModel or "
        "UNet2DConditionModel can be used."
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"block_out_channels": [8, 8]},
        {"block_out_channels": "many"},
        {"down_block_types": ["NoSuchBlock"] * 3},
        {"in_channels": -1},
        {"norm_num_groups": 3},
        {"act_fn": "nonsense"},
        {"sample_size": None},
        {"layers_per_block": 2},
    ],
)
def test_a_configuration_that_does_not_fit(copy, changes, refusal, edit_json):
    folder = copy("ddpm")
    edit_json(folder / "unet" / "config.json", **changes)
    refusal(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_damaged_configuration(copy, content, refusal):
    folder = copy("ddpm")
    (folder / "unet" / "config.json").write_text(content)
    assert refusal(folder).startswith(f"The UNet in {folder} could not be loaded (")


@pytest.mark.parametrize("part", ["scheduler", "vae", "text_encoder", "tokenizer"])
def test_a_missing_part(copy, part, refusal):
    folder = copy("sd")
    shutil.rmtree(folder / part)
    sentence = refusal(folder)
    assert sentence.startswith(f"The pipeline in {folder} could not be loaded (")
    assert sentence.endswith("); save it again with save_pretrained.")


def test_an_unknown_pipeline_class(copy, refusal, edit_json):
    folder = copy("ddpm")
    edit_json(folder / "model_index.json", _class_name="NoSuchPipeline")
    assert refusal(folder).startswith(f"The pipeline in {folder} could not be loaded (")
