"""Units that have finished learning, kept on disk so that a run that was stopped can go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from analysis.errors import UserError
from analysis.files import FileKind, format_of, read_tensors, write_tensors
from analysis.quant.learnable import roundings, scales
from analysis.quant.phase import LossPoint
from analysis.records import Array

FOLDER = "finished"  # within a run, until the model is whole
KIND = FileKind(
    format="finished-unit",
    version=1,
    noun="finished unit",
    command="python -m analysis quantize",
    again="quantize again",
)


@dataclass(frozen=True)
class Kept:
    """What one unit has learned."""

    tensors: dict[str, Array]
    losses: list[LossPoint]

    @torch.no_grad()
    def restore(self, twin: nn.Module) -> list[LossPoint]:
        """Put it into a learnable unit; the losses on the way are returned."""
        for name, rounding in roundings(twin).items():
            up = np.unpackbits(self.tensors[f"up.{name}"], count=rounding.logit.numel())
            signs = torch.from_numpy(up.astype(np.float32) * 2 - 1)
            rounding.logit.copy_(signs.view_as(rounding.logit))
        for name, scale in scales(twin).items():
            scale.copy_(torch.from_numpy(self.tensors[f"scale.{name}"]))
        return self.losses


class Finished:
    """A folder with a file for every finished unit of one configuration.

    Files of another configuration (another `key`) count as absent and are replaced.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def load(self, phase: str, unit: str) -> Kept | None:
        """What a unit has learned, or `None`; a damaged file counts as absent."""
        path = self._path(phase, unit)
        if not path.is_file():
            return None
        try:
            header, tensors = read_tensors(path, KIND)
        except UserError:
            return None
        if header["key"] != self.key:
            return None
        return Kept(tensors, [LossPoint(**point) for point in header["losses"]])

    def save(self, phase: str, unit: str, twin: nn.Module, losses: Sequence[LossPoint]) -> None:
        """Keep what a unit has learned; `UserError` if it cannot be written."""
        header: dict[str, Any] = {"key": self.key, "losses": [asdict(point) for point in losses]}
        write_tensors(self._path(phase, unit), KIND, header, _tensors(twin))

    def count(self) -> int:
        """Number of finished units."""
        return len(list(self.folder.glob("*.safetensors")))

    def _path(self, phase: str, unit: str) -> Path:
        return self.folder / f"{phase}.{unit}.safetensors"


def only_finished(folder: Path) -> bool:
    """Whether all that a folder holds is `finished/`, as a run that was stopped leaves it."""
    kept = folder / FOLDER
    return [p.name for p in folder.iterdir()] == [FOLDER] and kept.is_dir() and _all_ours(kept)


def _all_ours(kept: Path) -> bool:
    """Whether every file is a finished unit, or the beginning of one that was interrupted."""
    return all(
        (p.name.startswith(".") and p.suffix == ".part") or format_of(p) == KIND.format
        for p in kept.iterdir()
    )


def _tensors(twin: nn.Module) -> dict[str, Array]:
    up = {f"up.{n}": (r.logit >= 0).cpu().numpy() for n, r in roundings(twin).items()}
    learned = {f"scale.{n}": s.detach().cpu().numpy() for n, s in scales(twin).items()}
    return {name: np.packbits(bits.reshape(-1)) for name, bits in up.items()} | learned
