"""Trains the Fashion-MNIST classifier behind the Frechet distance, and sums its features.

    python -m assets.train_classifier [--epochs 8]

Writes `model.safetensors`, `config.json` and `reference.safetensors` (the sums over the 60,000
training pictures) into `assets/classifier`. The test set is looked at once, after training.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from analysis.errors import UserError
from analysis.metrics.classifier import FOLDER, STRIDES, WIDTHS, FashionClassifier, load_classifier
from analysis.metrics.frechet import FeatureStatistics
from assets.fashion_data import CLASSES, DEFAULT_FOLDER, load_images, load_labels

SHIFT = 2  # pixels; a picture is moved by up to this much each way
OFFSET, NOISE = 0.03, 0.03  # brightness, of [0, 1]; a picture gets up to this much of each


def shifted(images: Tensor) -> Tensor:
    """Each picture [N, C, H, W] moved by its own whole pixels, filled with black."""
    n, _, height, width = images.shape
    padded = F.pad(images, (SHIFT,) * 4)  # [N, C, H + 2 SHIFT, W + 2 SHIFT]
    offsets = torch.randint(2 * SHIFT + 1, (2, n, 1))
    rows = offsets[0] + torch.arange(height)  # [N, H]
    columns = offsets[1] + torch.arange(width)  # [N, W]
    which = torch.arange(n)[:, None, None]
    picked = padded[which, :, rows[:, :, None], columns[:, None, :]]  # [N, H, W, C]
    return picked.permute(0, 3, 1, 2)  # [N, C, H, W]


def disturbed(pictures: Tensor) -> Tensor:
    """Pictures [N, C, H, W] in [0, 1], each a little brighter or darker, and noisier.

    Fashion-MNIST's background is exactly black, a generated one nearly. Features that have only
    seen the first take a difference no eye can see for a large one.
    """
    n = len(pictures)
    offset = OFFSET * (2 * torch.rand(n, 1, 1, 1) - 1)
    noise = NOISE * torch.rand(n, 1, 1, 1) * torch.randn_like(pictures)
    return (pictures + offset + noise).clamp(0, 1)


def train(images: Tensor, labels: Tensor, args: argparse.Namespace) -> FashionClassifier:
    """AdamW under a one-cycle schedule, with label smoothing, shifts and disturbances."""
    model = FashionClassifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.decay)
    batches = len(images) // args.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.lr, total_steps=args.epochs * batches
    )
    for epoch in range(args.epochs):
        start, total = time.monotonic(), 0.0
        for chosen in torch.randperm(len(images))[: batches * args.batch].split(args.batch):
            pictures = disturbed(shifted(images[chosen]).float() / 255)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(pictures.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), labels[chosen], label_smoothing=args.smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.monotonic() - start
        print(f"epoch {epoch + 1}  loss {total / batches:.4f}  {seconds:.0f} s", flush=True)
    return model.eval()


@torch.no_grad()
def accuracy(model: FashionClassifier, images: Tensor, labels: Tensor) -> float:
    """Part of the pictures (uint8 [N, 1, 32, 32]) that get their label [N], 0 to 1."""
    guesses = [model(part.float() / 255).argmax(dim=1) for part in images.split(500)]
    return (torch.cat(guesses) == labels).double().mean().item()


def save(model: FashionClassifier, config: dict[str, object], folder: Path) -> None:
    """Weights first, then the settings, each under a temporary name until it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.tmp")
    os.replace(folder / "model.tmp", folder / "model.safetensors")
    (folder / "config.tmp").write_text(json.dumps(config, indent=2) + "\n")
    os.replace(folder / "config.tmp", folder / "config.json")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDER, help="folder of .gz files")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for what is written")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-2, help="highest learning rate")
    parser.add_argument("--decay", type=float, default=1e-2, help="weight decay")
    parser.add_argument("--smoothing", type=float, default=0.05, help="label smoothing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    images, labels = load_images(args.data), load_labels(args.data)
    tests, answers = load_images(args.data, "t10k"), load_labels(args.data, "t10k")
    torch.manual_seed(args.seed)
    model = train(images, labels, args)
    settings = ("epochs", "batch", "lr", "decay", "smoothing", "seed")
    config: dict[str, object] = {
        "architecture": {"widths": WIDTHS, "strides": STRIDES, "num_classes": len(CLASSES)},
        "classes": CLASSES,
        "test_accuracy": accuracy(model, tests, answers),
        "training": {name: getattr(args, name) for name in settings}
        | {"shift_pixels": SHIFT, "offset": OFFSET, "noise": NOISE},
    }
    save(model, config, args.out)
    # Read back, so that the reference is made by the very weights that will be compared to it.
    extractor = load_classifier(args.out).features
    parts = (
        FeatureStatistics.from_images(part.float() / 255, extractor) for part in images.split(4000)
    )
    first = next(parts)
    sum(parts, start=first).save(args.out / "reference.safetensors")
    print(f"test accuracy {config['test_accuracy']:.4f}", flush=True)


def main() -> int:
    args = parse()
    torch.set_num_threads(args.threads)
    try:
        run(args)
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
