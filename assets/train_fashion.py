"""Trains the bundled unconditional DDPM on Fashion-MNIST (1x32x32, epsilon prediction).

    python -m assets.train_fashion --out FOLDER [--init FOLDER] [--minutes 90] [--resume]

Writes into FOLDER: `model/` (a `DDIMPipeline` with the averaged weights), `samples-*.png`, and
`checkpoint.safetensors`, from which `--resume` continues.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from analysis.errors import UserError
from assets.fashion_data import DEFAULT_FOLDER, load_images

# Four levels of three blocks: the depth lets the residual stream grow, which is what makes the
# two halves of a shortcut's concatenation differ in range.
ARCHITECTURE = {
    "sample_size": 32,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": (32, 64, 64, 64),
    "layers_per_block": 3,
    "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
    "attention_head_dim": 16,
}
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
    "clip_sample": True,
}


def learning_rate(progress: float, step: int, args: argparse.Namespace) -> float:
    """Linear warm-up over `args.warmup` steps, times a cosine from 1 to `args.final`."""
    warm = min(1.0, (step + 1) / max(1, args.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return args.lr * warm * (args.final + (1 - args.final) * cosine)


@dataclass
class Trainer:
    """Everything that a checkpoint must hold, and the loop over it."""

    args: argparse.Namespace
    unet: UNet2DModel
    images: Tensor  # uint8 [N, 1, 32, 32]
    step: int = 0
    elapsed: float = 0.0  # seconds, over all resumed runs
    scheduler: DDIMScheduler = field(default_factory=lambda: DDIMScheduler(**SCHEDULER))

    def __post_init__(self) -> None:
        self.unet = self.unet.train().to(memory_format=torch.channels_last)
        self.parameters = list(self.unet.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.args.lr, betas=(0.9, 0.99), weight_decay=0.0
        )
        self.ema = EMAModel(self.parameters, decay=self.args.ema)
        self.random = torch.Generator().manual_seed(self.args.seed)

    @property
    def checkpoint(self) -> Path:
        return self.args.out / "checkpoint.safetensors"

    def progress(self) -> float:
        """Part of the training that is done, 0 to 1, by steps or by minutes."""
        by_time = self.elapsed / (60 * self.args.minutes) if self.args.minutes else 0.0
        return max(self.step / self.args.steps, by_time)

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy images and their noise [B, 1, 32, 32], and their timesteps [B]."""
        size = self.args.batch
        chosen = torch.randint(len(self.images), (size,), generator=self.random)
        x_0 = self.images[chosen].float() / 127.5 - 1
        noise = torch.randn(x_0.shape, generator=self.random)
        steps = self.scheduler.config.num_train_timesteps
        t = torch.randint(steps, (size,), generator=self.random)
        return self.scheduler.add_noise(x_0, noise, t), noise, t

    def train_step(self) -> float:
        """One update of the weights and of their average; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.progress(), self.step, self.args)
        x_t, noise, t = self.batch()
        x_t = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            predicted = self.unet(x_t, t).sample
        loss = torch.nn.functional.mse_loss(predicted.float(), noise)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.ema.step(self.parameters)
        self.step += 1
        return loss.item()

    def run(self) -> None:
        """Train until the steps or the minutes are used up."""
        losses: list[float] = []
        before = time.monotonic()
        since = before
        while self.progress() < 1:
            losses.append(self.train_step())
            now = time.monotonic()
            self.elapsed += now - before
            before = now
            if self.step % self.args.log_every == 0:
                rate = len(losses) / (now - since)
                lr = self.optimizer.param_groups[0]["lr"]
                print(
                    f"step {self.step}  loss {sum(losses) / len(losses):.4f}  lr {lr:.2e}  "
                    f"{rate:.2f} it/s  {self.elapsed / 60:.1f} min",
                    flush=True,
                )
                losses, since = [], now
            if self.step % self.args.save_every == 0:
                self.save_checkpoint()
            if self.step % self.args.sample_every == 0:
                self.save_samples()
                since = time.monotonic()
        self.save_checkpoint()
        self.save_samples()

    def save_samples(self) -> None:
        """Write the pipeline with the averaged weights, and a grid of its samples."""
        self.ema.store(self.parameters)
        self.ema.copy_to(self.parameters)
        self.unet.eval()
        pipeline = DDIMPipeline(unet=self.unet, scheduler=self.scheduler)
        save_folder(pipeline, self.args.out / "model")
        save_grid(pipeline, self.args.out / f"samples-{self.step:06d}.png")
        self.unet.train()
        self.ema.restore(self.parameters)

    def state(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint under flat names; the views are live, not copies."""
        tensors = {"rng": self.random.get_state()}
        for index, parameter in enumerate(self.parameters):
            tensors[f"model.{index}"] = parameter.detach()
            tensors[f"ema.{index}"] = self.ema.shadow_params[index]
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{index}.{key}"] = value
        return tensors

    def save_checkpoint(self) -> None:
        """Write under a temporary name, then rename, so that a crash leaves the old one."""
        numbers = {"step": self.step, "elapsed": self.elapsed}
        # safetensors refuses channels-last strides.
        tensors = {name: value.contiguous() for name, value in self.state().items()}
        temporary = self.checkpoint.with_suffix(".tmp")
        save_file(tensors, temporary, metadata={"numbers": json.dumps(numbers)})
        os.replace(temporary, self.checkpoint)

    def load_checkpoint(self) -> None:
        """Continue from the checkpoint in the output folder."""
        # AdamW makes its state at the first step; every tensor must be there to be filled.
        for parameter in self.parameters:
            self.optimizer.state[parameter] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        with safe_open(self.checkpoint, framework="pt") as file:
            numbers = json.loads(file.metadata()["numbers"])
            for name, value in self.state().items():
                if name != "rng":
                    value.copy_(file.get_tensor(name))
            self.random.set_state(file.get_tensor("rng"))
        self.step, self.elapsed = numbers["step"], numbers["elapsed"]
        self.ema.optimization_step = self.step


def save_folder(pipeline: DDIMPipeline, folder: Path) -> None:
    """Save a pipeline beside its place, then swap it in."""
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    pipeline.save_pretrained(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def save_grid(pipeline: DDIMPipeline, path: Path, rows: int = 4, columns: int = 8) -> None:
    """A PNG of samples (50 DDIM steps, seed 1), each enlarged three times."""
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        batch_size=rows * columns,
        generator=torch.Generator().manual_seed(1),
        num_inference_steps=50,
        output_type="np",
    ).images  # [rows * columns, 32, 32, 1] in [0, 1]
    grid = images[..., 0].reshape(rows, columns, 32, 32)
    grid = grid.transpose(0, 2, 1, 3).reshape(rows * 32, columns * 32)  # pixels of one picture
    picture = Image.fromarray(np.uint8(np.round(grid * 255)))
    picture.resize((picture.width * 3, picture.height * 3), Image.Resampling.NEAREST).save(path)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for what is written")
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of .gz files")
    parser.add_argument("--init", type=Path, help="pipeline folder whose weights to start from")
    parser.add_argument("--resume", action="store_true", help="continue a checkpoint in --out")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, help="end after this long, if steps are left")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--final", type=float, default=0.01, help="last rate as a part of --lr")
    parser.add_argument("--warmup", type=int, default=200, help="steps of rising rate")
    parser.add_argument("--ema", type=float, default=0.9995, help="decay of the average")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--log-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--save-every", type=int, default=250, metavar="STEPS")
    parser.add_argument("--sample-every", type=int, default=1000, metavar="STEPS")
    return parser.parse_args()


def make_trainer(args: argparse.Namespace) -> Trainer:
    """A trainer at its start, or where its checkpoint left it."""
    if args.init and not (args.init / "unet").is_dir():
        raise UserError(f"{args.init} has no unet folder; pass --init a saved pipeline.")
    torch.manual_seed(args.seed)
    if args.init:
        unet = UNet2DModel.from_pretrained(
            args.init, subfolder="unet", local_files_only=True, low_cpu_mem_usage=False
        )
    else:
        unet = UNet2DModel(**ARCHITECTURE)
    trainer = Trainer(args, unet, load_images(args.data))
    args.out.mkdir(parents=True, exist_ok=True)
    if trainer.checkpoint.exists():
        if not args.resume:
            raise UserError(f"{args.out} holds a checkpoint; add --resume or choose another --out.")
        trainer.load_checkpoint()
    return trainer


def main() -> int:
    args = parse()
    torch.set_num_threads(args.threads)
    try:
        trainer = make_trainer(args)
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    try:
        trainer.run()
    except KeyboardInterrupt:
        trainer.save_checkpoint()
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
