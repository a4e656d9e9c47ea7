"""Loading what diffusers saved, by folder, by bundled name, by hub id."""

from __future__ import annotations

import shutil

import pytest
import torch
from diffusers import DiffusionPipeline

from analysis.errors import UserError
from analysis.models.load import bundled_models, from_pipeline, load_model, pick_device

families = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])


@families
def test_weights_are_those_that_diffusers_loads(folders, models, family):
    own = DiffusionPipeline.from_pretrained(folders(family), safety_checker=None)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        theirs = getattr(own, part, None)
        if theirs is None:
            continue
        ours = getattr(models(family).pipeline, part).state_dict()
        assert set(ours) == set(theirs.state_dict())
        assert all(torch.equal(ours[name], v) for name, v in theirs.state_dict().items())
    assert type(models(family).pipeline) is type(own)


@families
def test_a_model_is_ready_to_run(models, family):
    model = models(family)
    assert not model.denoiser.training
    assert model.device.type == "cpu"
    assert model.dtype is torch.float32
    assert model.conditional is (family != "ddpm")
    assert model.sample_shape == ((1, 16, 16) if family == "ddpm" else (4, 8, 8))
    assert model.parameters == sum(p.numel() for p in model.denoiser.parameters())


def test_a_folder_may_be_given_as_text_with_a_home_in_it(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(folders("ddpm"), tmp_path / "mine")
    assert load_model("~/mine", "cpu").name == "~/mine"


def test_the_digest_is_of_the_weights_and_the_configuration(folders, ddpm):
    again = load_model(folders("ddpm"), "cpu")
    assert again.digest == ddpm.digest
    assert len(again.digest) == 64
    changed = load_model(folders("ddpm"), "cpu")
    with torch.no_grad():
        changed.denoiser.conv_out.bias[0] += 1e-7
    assert changed.digest != ddpm.digest
    configured = load_model(folders("ddpm"), "cpu")
    configured.denoiser.register_to_config(norm_eps=1e-4)
    assert configured.digest != ddpm.digest


def test_another_denoiser_leaves_the_handle_as_it_was(ddpm):
    other = type(ddpm.denoiser).from_config(ddpm.denoiser.config)
    before = ddpm.denoiser
    handle = ddpm.with_denoiser(other)
    assert handle.denoiser is other
    assert ddpm.denoiser is before
    assert handle.pipeline.scheduler is ddpm.pipeline.scheduler
    assert handle.layers == ddpm.layers


def test_a_pipeline_in_memory_is_used_as_it_is(new_pipeline):
    pipeline = new_pipeline("ddpm")
    pipeline.unet.train()
    model = from_pipeline(pipeline, "mine")
    assert model.name == "mine"
    assert model.pipeline is pipeline
    assert not model.denoiser.training


def test_a_hub_id_is_loaded_from_where_it_was_downloaded(folders, ddpm, monkeypatch):
    asked = []

    def download(hub_id, **options):
        asked.append((hub_id, options))
        return str(folders("ddpm"))

    monkeypatch.setattr(DiffusionPipeline, "download", download)
    model = load_model("someone/model", "cpu")
    assert asked == [("someone/model", {"use_safetensors": True})]
    assert model.name == "someone/model"
    assert model.digest == ddpm.digest


def test_what_stands_in_a_folder_goes_before_the_hub(folders, tmp_path, monkeypatch):
    def download(hub_id, **options):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(DiffusionPipeline, "download", download)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folders("ddpm"), tmp_path / "someone" / "model")
    assert load_model("someone/model", "cpu").name == "someone/model"


def test_bundled_models_are_found_by_name(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.models.load.BUNDLED", tmp_path)
    (tmp_path / "unfinished").mkdir()
    shutil.copytree(folders("ddpm"), tmp_path / "pocket")
    assert bundled_models() == ["pocket"]
    assert load_model("pocket", "cpu").name == "pocket"


@pytest.mark.parametrize("device", ["gpu", "", "CUDA", "cpu:0"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(UserError) as refused:
        pick_device(device)
    assert str(refused.value) == f"device must be auto, cpu or cuda; got {device!r}."


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="no CUDA device on this machine; use --device cpu or auto"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda")
    assert pick_device("cpu") == torch.device("cpu")
