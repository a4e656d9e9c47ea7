"""Tiny random pipelines of three families, saved and loaded as a person's own would be."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # processes share the cores; read when torch is loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job
    signal.signal(signal.SIGINT, signal.default_int_handler)  # some tests press Ctrl-C in a child
settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")


def pytest_collection_modifyitems(items):
    """The browser's tests first: they take longest, and nothing waits for them at the end."""
    items.sort(key=lambda item: item.path.parent.name != "e2e")


LETTERS = "abcdefghijklmnopqrstuvwxyz"
TRAINED = 100  # timesteps that the tiny models' schedulers know


def tiny_unet(seed: int = 0, **changes):
    """Two levels, attention below and in the middle, concatenated shortcuts; random weights."""
    from diffusers import UNet2DModel

    torch.manual_seed(seed)
    settings = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 8,
    }
    return UNet2DModel(**settings | changes).eval()


# Of a UNet of convolutions only, but for the middle.
PLAIN_BLOCKS = {
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
}


def tiny_ddpm():
    """Three levels, attention at two of them and in the middle, six concatenated inputs."""
    from diffusers import DDPMPipeline, DDPMScheduler

    unet = tiny_unet(
        sample_size=16,
        block_out_channels=(8, 8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
    )
    return DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=TRAINED))


def tiny_text(projected: bool = False):
    """A text encoder over single letters, and its tokenizer, made without any file."""
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
    )

    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
        projection_dim=16,
    )
    model = CLIPTextModelWithProjection if projected else CLIPTextModel
    return model(config).eval(), tokenizer


def tiny_vae():
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
    ).eval()


def conditional_unet(**extra):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 16, 16),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=2,
        **extra,
    )


def tiny_sd():
    """Stable Diffusion: text encoder, VAE of two levels, guidance."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    torch.manual_seed(0)
    text_encoder, tokenizer = tiny_text()
    scheduler = DDIMScheduler(num_train_timesteps=TRAINED, clip_sample=False, steps_offset=1)
    return StableDiffusionPipeline(
        vae=tiny_vae(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=conditional_unet(cross_attention_dim=16),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def tiny_sdxl():
    """Stable Diffusion XL: two text encoders, and the picture's size as an input."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    torch.manual_seed(0)
    text_encoder, tokenizer = tiny_text()
    text_encoder_2, tokenizer_2 = tiny_text(projected=True)
    unet = conditional_unet(
        cross_attention_dim=32,
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2, 1),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
    )
    return StableDiffusionXLPipeline(
        vae=tiny_vae(),
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=unet,
        scheduler=EulerDiscreteScheduler(num_train_timesteps=TRAINED),
        add_watermarker=False,
    )


FAMILIES = {"ddpm": tiny_ddpm, "sd": tiny_sd, "sdxl": tiny_sdxl}


@pytest.fixture(scope="session")
def new_pipeline():
    """A pipeline of a family in memory, for tests that change it."""
    return lambda family: FAMILIES[family]()


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folder of a tiny pipeline by the name of its family; written on first use."""
    home, made = tmp_path_factory.mktemp("pipelines"), {}

    def folder(family: str) -> Path:
        if family not in made:
            FAMILIES[family]().save_pretrained(home / family, safe_serialization=True)
            made[family] = home / family
        return made[family]

    return folder


@pytest.fixture(scope="session")
def models(folders):
    """Tiny model by the name of its family, loaded from its folder on first use."""
    from analysis.models.load import load_model

    made = {}

    def model(family: str):
        if family not in made:
            made[family] = load_model(folders(family), "cpu")
        return made[family]

    return model


@pytest.fixture(scope="session")
def ddpm(models):
    return models("ddpm")


@pytest.fixture(scope="session")
def sd(models):
    return models("sd")


@pytest.fixture(scope="session")
def ddpm_capture(ddpm):
    """Four steps of three samples of the tiny DDPM, all layers."""
    from analysis.capture.run import capture

    return capture(ddpm, steps=4, samples=3, seed=0)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run the command line in this process: (exit status, stdout, stderr)."""
    from analysis.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["analysis", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run
