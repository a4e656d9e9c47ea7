"""The small Fashion-MNIST classifier whose features stand in for Inception's on 1x32x32."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from analysis.errors import UserError

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "classifier"
WIDTHS = (16, 32, 32, 64, 64, 64)
STRIDES = (1, 2, 1, 2, 1, 1)


class FashionClassifier(nn.Module):
    """A row of 3x3 convolutions, each with batch norm and ReLU, then the mean over pixels.

    Takes pictures [N, 1, 32, 32] in [0, 1]. `num_features` is the width of `features`.
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        strides: Sequence[int] = STRIDES,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        inputs = [1, *widths[:-1]]
        self.blocks = nn.Sequential(
            *(convolution(*sizes) for sizes in zip(inputs, widths, strides, strict=True))
        )
        self.num_features = int(widths[-1])
        self.head = nn.Linear(self.num_features, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, num_features], none of them negative."""
        maps = self.blocks(2 * x - 1)  # [N, 1, 32, 32] -> [N, num_features, 8, 8]
        return maps.mean(dim=(2, 3))  # [N, num_features]

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, num_classes]."""
        return self.head(self.features(x))


def convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """One block: [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def load_classifier(folder: Path = FOLDER) -> FashionClassifier:
    """The trained classifier, in eval mode and without gradients.

    Raises `UserError` if `config.json` or `model.safetensors` is missing from `folder`.
    """
    config, weights = folder / "config.json", folder / "model.safetensors"
    for path in (config, weights):
        if not path.is_file():
            raise UserError(
                f"There is no {path.name} in {path.parent}; restore it from the repository, or "
                "train it with `python -m assets.train_classifier`."
            )
    numbers = json.loads(config.read_text())["architecture"]
    model = FashionClassifier(numbers["widths"], numbers["strides"], numbers["num_classes"])
    model.load_state_dict(load_file(weights))
    return model.eval().requires_grad_(False)
