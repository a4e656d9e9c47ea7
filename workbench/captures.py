"""Captures as the page holds them: opened from files, with what was computed from them."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from analysis.capture.store import BUNDLED_CAPTURE, load_capture, save_capture
from analysis.errors import UserError
from analysis.records import Array, Capture, LayerRef
from analysis.runs import CAPTURE_FILE, write_manifest
from workbench.statistics import STATISTICS
from workbench.whatif import Grid, Own, WhatIf

BUNDLED = "bundled"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")  # a folder's name, never a path
_REMEMBERED = 24  # heatmaps and reports a capture keeps


class OpenCapture:
    """A capture and the tables drawn from it, each worked out once."""

    def __init__(self, key: str, capture: Capture) -> None:
        self.key = key
        self.capture = capture
        self._tables: OrderedDict[Any, Any] = OrderedDict()

    @cached_property
    def layers(self) -> tuple[LayerRef, ...]:
        """Whole inputs and operands, in execution order; halves of shortcuts left out."""
        return tuple(layer for layer in self.capture.layers if layer.kind != "half")

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @property
    def steps(self) -> int:
        return len(self.capture.timesteps)

    @property
    def first_layer(self) -> str:
        """The convolution that takes the noisy sample."""
        return next((x.name for x in self.layers if x.kind == "conv"), self.names[0])

    @property
    def last_layer(self) -> str:
        """The layer that emits the prediction."""
        return next(x.name for x in reversed(self.layers) if x.kind in ("conv", "linear"))

    @property
    def label(self) -> str:
        """How the samples were drawn, in words."""
        spec = self.capture.spec
        origin = "bundled capture" if self.key == BUNDLED else "own capture"
        return (
            f"{origin}: {spec.scheduler.upper()}, {spec.steps} steps, "
            f"{spec.samples} samples, seed {spec.seed}"
        )

    @cached_property
    def bytes(self) -> int:
        """About how much memory the statistics take."""
        return sum(
            s.histogram.counts.nbytes + s.channel_min.nbytes + s.channel_max.nbytes + 5 * 8 * 100
            for s in self.capture.stats
        )

    @cached_property
    def what_if(self) -> WhatIf:
        """All layers, ready to be asked about any grid."""
        return WhatIf(self.capture, self.layers)

    def table(self, name: str, grid: Grid, own: Own = ()) -> Array:
        """A statistic [L, T] of every layer at every timestep; `own` as for `WhatIf.sqnr_db`."""
        statistic = STATISTICS[name]
        if statistic.uses_grid:
            return self.remembered((grid, own), lambda: self.what_if.sqnr_db(grid, own))
        stats = [self.capture[n] for n in self.names]
        return self.remembered(name, lambda: np.array([statistic.compute(s, grid) for s in stats]))

    def remembered(self, key: Any, compute: Callable[[], Any]) -> Any:
        """What `compute` gave for this key, if that was not too long ago."""
        if key not in self._tables:
            self._tables[key] = compute()
        self._tables.move_to_end(key)
        while len(self._tables) > _REMEMBERED:
            self._tables.popitem(last=False)
        return self._tables[key]


@lru_cache(maxsize=1)
def bundled_capture() -> OpenCapture:
    """The capture that comes with the repository."""
    return OpenCapture(BUNDLED, load_capture(BUNDLED_CAPTURE))


def open_file(path: str | Path, key: str) -> OpenCapture:
    """A capture file as the page holds it; `UserError` if it is none, or holds nothing."""
    capture = load_capture(path)
    if not any(layer.kind != "half" for layer in capture.layers):
        raise UserError("This capture holds no layers; take it again without a layer pattern.")
    return OpenCapture(key, capture)


def keep_new(capture: Capture, runs: Path) -> str:
    """Save a capture as a run, where a link and the command line find it; its name."""
    name = f"capture-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(8)}"
    save_capture(capture, runs / name / CAPTURE_FILE)
    arguments = {"model": capture.model, **asdict(capture.spec), "from": "workbench"}
    write_manifest(runs / name, "capture", arguments)
    return name


def keep_file(path: Path, runs: Path) -> str:
    """Copy an uploaded capture into the runs folder, once for each content; its name."""
    content = path.read_bytes()
    name = f"upload-{hashlib.sha256(content).hexdigest()[:12]}"
    target = runs / name / CAPTURE_FILE
    if not target.exists():
        temporary = target.with_suffix(".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            os.replace(temporary, target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UserError(
                f"The capture could not be kept ({error.strerror}); make room in the runs folder."
            ) from error
        write_manifest(target.parent, "capture", {"from": "workbench upload"})
    return name


def find(key: str, runs: Path) -> OpenCapture:
    """The capture that a link names.

    Raises:
        UserError: when there is none of that name.
    """
    if key == BUNDLED:
        return bundled_capture()
    path = runs / key / CAPTURE_FILE
    if not _ID.fullmatch(key) or not path.is_file():
        raise UserError(f"The link names a capture that is not here ({key[:40]}).")
    return open_file(path, key)
