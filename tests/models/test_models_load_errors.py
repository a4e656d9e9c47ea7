"""Folders that cannot be loaded: one sentence that says what is wrong and what to do."""

from __future__ import annotations

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

from analysis.errors import UserError
from analysis.models.load import from_pipeline, load_model

WEIGHTS = "diffusion_pytorch_model.safetensors"


def test_a_folder_without_an_index(tmp_path, refusal):
    assert refusal(tmp_path) == (
        f"{tmp_path} is no diffusers pipeline: it has no model_index.json; give the folder that "
        "save_pretrained wrote."
    )


def test_a_file(tmp_path, refusal):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    assert refusal(path) == f"{path} is a file; give the folder that save_pretrained wrote."


@pytest.mark.parametrize("name", ["nonsense", "a/b/c", "/no/such/folder", "./none", "~/none", "~"])
def test_a_name_that_is_nothing(name, monkeypatch, tmp_path, refusal):
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    sentence = refusal(name)
    assert sentence.startswith(f"There is no model {name!r}: it is neither bundled (")
    assert sentence.endswith("nor a folder here, nor a hub id of the form owner/model.")


def test_a_hub_id_when_the_hub_cannot_be_reached(monkeypatch, refusal):
    def download(hub_id, **options):
        raise ConnectionError("We could not connect to the hub.\nSecond line of advice")

    monkeypatch.setattr(DiffusionPipeline, "download", download)
    assert refusal("someone/model") == (
        "The model someone/model could not be fetched (We could not connect to the hub); check "
        "the name and the connection, or give a local folder."
    )


def test_a_hub_id_when_offline_and_not_in_the_cache(monkeypatch, refusal):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    sentence = refusal("nobody-has-this/model-at-all")
    assert sentence.startswith("The model nobody-has-this/model-at-all could not be fetched (")
    assert sentence.endswith("); check the name and the connection, or give a local folder.")


def test_a_missing_weight(copy, refusal, edit_weights):
    folder = copy("ddpm")
    edit_weights(folder / "unet" / WEIGHTS, lambda t: t.pop("mid_block.resnets.0.conv1.weight"))
    assert refusal(folder) == (
        f"The checkpoint in {folder} lacks 1 weights, the first is "
        "'mid_block.resnets.0.conv1.weight'; it does not belong to this config.json."
    )


def test_an_extra_weight(copy, refusal, edit_weights):
    folder = copy("ddpm")
    edit_weights(folder / "unet" / WEIGHTS, lambda t: t.update(a=torch.ones(2), b=torch.ones(1)))
    assert refusal(folder) == (
        f"The checkpoint in {folder} has extra 2 weights, the first is 'a'; it does not belong "
        "to this config.json."
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_no_number(copy, value, refusal, edit_weights):
    folder = copy("ddpm")
    edit_weights(
        folder / "unet" / WEIGHTS, lambda t: t["conv_in.weight"].view(-1)[3:4].fill_(value)
    )
    assert refusal(folder) == (
        f"The weight 'conv_in.weight' in {folder} holds NaN or infinite values; the checkpoint "
        "is damaged, take an earlier one."
    )


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_a_weight_that_is_no_number_outside_the_unet(copy, part, refusal, edit_weights):
    folder = copy("sd")
    path = next((folder / part).glob("*.safetensors"))
    name = sorted(load_file(path))[0]
    edit_weights(path, lambda t: t[name].view(-1)[:1].fill_(float("nan")))
    sentence = refusal(folder)
    assert sentence.startswith(f"The weight '{part}.")
    assert "holds NaN or infinite values" in sentence


def test_a_misshapen_weight(copy, refusal, edit_weights):
    folder = copy("ddpm")
    edit_weights(folder / "unet" / WEIGHTS, lambda t: t.update({"conv_in.bias": torch.ones(3)}))
    sentence = refusal(folder)
    assert sentence.startswith(f"The UNet in {folder} could not be loaded (")
    assert "conv_in.bias" in sentence
    assert sentence.endswith("); save it again with save_pretrained.")


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_a_missing_weight_outside_the_unet(copy, part, refusal, edit_weights):
    folder = copy("sd")
    path = next((folder / part).glob("*.safetensors"))
    name, tensor = sorted(load_file(path).items())[0]
    edit_weights(path, lambda t: t.pop(name))
    sentence = refusal(folder)
    assert sentence.startswith(f"The {part} in {folder} lacks {tensor.numel()} of ")
    assert sentence.endswith(" weights; save it again with save_pretrained.")


def test_old_names_and_forgotten_buffers_are_no_missing_weights(copy, sd, edit_weights):
    folder = copy("sd")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(tensors):
        for name in [n for n in tensors if "mid_block.attentions" in n]:
            new = name
            for now, before in old.items():
                new = new.replace(now, before)
            tensors[new] = tensors.pop(name)

    edit_weights(folder / "vae" / WEIGHTS, rename)
    edit_weights(
        folder / "text_encoder" / "model.safetensors",
        lambda t: t.update({"text_model.embeddings.position_ids": torch.arange(16)[None]}),
    )
    loaded, own = load_model(folder, "cpu").pipeline, sd.pipeline
    for ours, theirs in ((loaded.vae, own.vae), (loaded.text_encoder, own.text_encoder)):
        weights = ours.state_dict()
        assert all(torch.equal(weights[n], v) for n, v in theirs.state_dict().items())


def test_a_buffer_of_whole_numbers_does_not_stand_in_for_a_weight(copy, refusal, edit_weights):
    folder = copy("sd")

    def swap(tensors) -> None:
        name, weight = sorted(tensors.items())[0]
        del tensors[name]
        tensors["text_model.embeddings.position_ids"] = torch.arange(weight.numel())

    edit_weights(folder / "text_encoder" / "model.safetensors", swap)
    assert refusal(folder).startswith(f"The text_encoder in {folder} lacks ")


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("vae", "size mismatch for decoder.conv_in.bias"),
        ("text_encoder", "a weight has another shape than its config.json says"),
    ],
)
def test_a_misshapen_weight_outside_the_unet(copy, part, reason, refusal, edit_weights):
    folder = copy("sd")
    path = next((folder / part).glob("*.safetensors"))
    name = sorted(load_file(path))[0]
    edit_weights(path, lambda t: t.update({name: torch.ones(1)}))
    sentence = refusal(folder)
    assert sentence.startswith(f"The pipeline in {folder} could not be loaded (")
    assert reason in sentence
    assert sentence.endswith("); save it again with save_pretrained.")


@pytest.mark.parametrize("size", [0, 5, 100, 20_000])
def test_weights_cut_short(copy, size, refusal):
    folder = copy("ddpm")
    path = folder / "unet" / WEIGHTS
    path.write_bytes(path.read_bytes()[:size])
    assert refusal(folder).startswith(f"The UNet in {folder} could not be loaded (")


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.ckpt", "unet.pt", "a.pth"])
def test_pickles_are_not_opened(copy, name, refusal):
    folder = copy("ddpm")
    (folder / "unet" / WEIGHTS).unlink()
    (folder / "unet" / name).write_bytes(b"\x80\x04cos\nsystem\n")
    assert refusal(folder) == (
        f"{folder / 'unet'} holds only pickled weights ({name}), which can run code when they "
        "are opened; save the model with safe_serialization=True."
    )


@pytest.mark.parametrize(
    ("part", "name"), [("vae", WEIGHTS), ("text_encoder", "model.safetensors")]
)
def test_pickles_outside_the_unet_are_not_opened_either(copy, part, name, monkeypatch, refusal):
    folder = copy("sd")
    path = folder / part / name
    torch.save(load_file(path), path.with_name(name.replace(".safetensors", ".bin")))
    path.with_name(name.replace(".safetensors", ".bin")).rename(
        path.with_name("pytorch_model.bin" if part == "text_encoder" else f"{path.stem}.bin")
    )
    path.unlink()
    opened = []
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: opened.append(args))
    assert refusal(folder).startswith(f"{folder / part} holds only pickled weights (")
    assert not opened


def test_a_folder_without_weights(copy, refusal):
    folder = copy("ddpm")
    (folder / "unet" / WEIGHTS).unlink()
    assert refusal(folder).startswith(f"The UNet in {folder} could not be loaded (")


def test_a_unet_that_paints_over_a_picture_is_refused(copy, refusal, edit_weights, edit_json):
    """Inpainting: more channels go in than come out, which plain sampling cannot supply."""
    folder = copy("ddpm")
    edit_json(folder / "unet" / "config.json", in_channels=3)
    edit_weights(
        folder / "unet" / WEIGHTS, lambda t: t.update({"conv_in.weight": torch.ones(8, 3, 3, 3)})
    )
    assert "takes 3 channels and returns 1" in refusal(folder)


@pytest.mark.parametrize("pipeline", [object(), type("Odd", (), {"unet": None})()])
def test_a_pipeline_in_memory_without_a_unet(pipeline):
    with pytest.raises(UserError) as refused:
        from_pipeline(pipeline)
    assert str(refused.value) == (
        f"{type(pipeline).__name__} has no UNet; only UNet pipelines can be used."
    )
