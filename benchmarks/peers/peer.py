"""What a peer answers: how it is set up, collects, quantizes, and what it records."""

from __future__ import annotations

import copy
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from analysis.models.handle import ModelHandle
from analysis.models.trajectory import sample, sampling_spec

REQUIREMENTS = Path(__file__).parent / "requirements"


class UnsupportedError(Exception):
    """What a peer does not offer, in one sentence."""


@dataclass(frozen=True)
class Bits:
    """Widths of weights and of the activations that enter them."""

    weights: int
    activations: int

    @classmethod
    def of(cls, plan: str) -> Bits:
        """From text such as `W4A8`; raises ValueError for any other."""
        found = re.fullmatch(r"W(\d+)A(\d+)", plan)
        if found is None:
            raise ValueError(f"no plan: {plan}")
        return cls(*map(int, found.groups()))


@dataclass(frozen=True)
class Records:
    """What a peer keeps of the activations it sees, as its source has it."""

    timestep: bool  # apart for every timestep
    channel: bool  # apart for every channel
    histogram: bool
    text: str


@dataclass(frozen=True)
class Run:
    """The run that everybody collects from."""

    model: ModelHandle
    steps: int
    samples: int
    seed: int = 0
    batch: int = 0  # all samples at once

    def __call__(self, noise: nn.Module) -> Tensor:
        """Pictures [N, C, H, W] in [0, 1], sampled with a module that predicts noise."""
        handle = self.model.with_denoiser(Denoiser(noise, self.model.denoiser.config))
        spec = sampling_spec(handle, self.steps, self.samples, self.seed)
        return sample(handle, spec, self.batch or self.samples)


class Noise(nn.Module):
    """A UNet as most libraries want a model: tensors in, one tensor out."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor) -> Tensor:  # [N, C, H, W], [] -> [N, C, H, W]
        return self.unet(x, t, return_dict=False)[0]


class Denoiser(nn.Module):
    """A module that predicts noise, answering as a diffusers UNet does."""

    def __init__(self, noise: nn.Module, config: Any) -> None:
        super().__init__()
        self.noise, self.config = noise, config
        # Tells device and dtype also where a library has left no parameters.
        self.place = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: Tensor, t: Tensor) -> Any:
        return SimpleNamespace(sample=self.noise(x, t))


class Peer(ABC):
    """A library's usual calibration: ranges from data, rounding to nearest, nothing learned."""

    name: ClassVar[str]
    package: ClassVar[str]  # as the registry has it
    environment: ClassVar[str] = ""  # what it is installed in; none: this project's own
    records: ClassVar[Records]
    setting: ClassVar[str]  # what was asked of it
    caveat: ClassVar[str] = ""  # why its quality is not that of the same bits elsewhere
    same_collecting: ClassVar[bool] = False  # as another row: only the pictures are new

    @abstractmethod
    def prepare(self, run: Run, bits: Bits) -> Any:
        """A copy of the model, ready to collect; raises `UnsupportedError`."""

    @abstractmethod
    def collect(self, prepared: Any, run: Run) -> None:
        """Sample, and keep what the ranges are chosen from."""

    @abstractmethod
    def quantized(self, prepared: Any) -> nn.Module:
        """The quantized model as a module (x [N, C, H, W], t []) -> noise [N, C, H, W]."""

    @property
    def requirements(self) -> Path | None:
        """What its environment is made from; `None` for this project's own."""
        return REQUIREMENTS / f"{self.environment}.txt" if self.environment else None

    @property
    def version(self) -> str:
        """Of the package in this process's environment."""
        return metadata.version(self.package)


def plain(run: Run) -> Noise:
    """A copy of the float model that may be changed."""
    return Noise(copy.deepcopy(run.model.denoiser)).eval()


def example(run: Run) -> tuple[Tensor, Tensor]:
    """Inputs (x [N, C, H, W], t []) as sampling gives them."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(run.samples, *run.model.sample_shape, generator=draw)
    return x, torch.tensor(500)
