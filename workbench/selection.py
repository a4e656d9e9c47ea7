"""What a visitor has selected, and how it is written in the page's address."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

import numpy as np

from workbench.captures import OpenCapture
from workbench.grids import BITS, ESTIMATORS, LEAST_KEPT, from_text, to_text
from workbench.samplers import read_counts, read_samplers
from workbench.statistics import DEFAULT_STATISTIC, STATISTICS
from workbench.whatif import GRANULARITIES, Grid, Own

TABS = ("explore", "time", "shortcuts", "calibration", "quantize", "compare", "sweep")
KINDS = ("all", "conv", "linear", "attention")
SCOPES = ("all", "step")
TIME_PLOTS = ("ridge", "density", "bands", "boxes")
APPLIES = ("all", "layer")
PLAN_BITS = (*BITS, 32)
COUNTS_AS = ("bars", "lines")
PROJECTIONS = ("pca", "tsne", "umap")
MOST_SEED = 999_999
MOST_REPEATS = 10
PRESETS = ("instant", "fast", "paper")
LOOKS = ("grid", "swipe", "difference", "steps", "quiz")
GAINS = (1, 2, 4, 8, 16)
BACKENDS = ("openvino", "onnxruntime")
RESTS = ("fastest", "float32", "bfloat16")

SWEEP_PLANS = ("W8A8", "W6A6", "W4A8", "W4A4", "W8A32", "W4A32")
SWEEP_COSTS = ("size", "bits", "seconds")
SWEEP_GAINS = ("psnr", "ssim", "frechet")


@dataclass(frozen=True)
class Selection:
    """One visitor's selection. Every field is in the address, under its own name."""

    layer: str
    step: int
    tab: str = "explore"
    stat: str = DEFAULT_STATISTIC
    kind: str = "all"
    find: str = ""  # only layers whose name contains this
    bits: int = 4
    symmetric: bool = False
    estimator: str = "minmax"
    granularity: str = "per_tensor"
    keep: int = 100  # percent of the estimator's range
    applies: str = "all"  # what a change of the grid reaches: all layers, or the selected one
    own: Own = ()  # layers with grids of their own
    scope: str = "all"  # the timesteps whose range the grid covers: all, or the selected one
    log: bool = True
    plot: str = "ridge"
    shortcut: str = ""
    weight_bits: int = 4
    act_bits: int = 8
    method: str = "rtn"
    preset: str = "instant"
    without: str = ""  # parts of the method that are left out, a comma between two
    options: str = ""  # of the method, where they differ from the preset: a=1;b=none
    look: str = "grid"  # how Compare shows the pictures
    gain: int = 4  # what a difference is multiplied by
    backend: str = "openvino"  # the runtime of real int8
    rest: str = "fastest"  # the precision of what is no integer there
    samplers: str = "timestep-uniform.ndtc.tdac"  # of the calibration lab
    cal_size: int = 64
    cal_steps: int = 10
    cal_seed: int = 0
    custom: str = ""  # the edited histogram, noise first: 8-4-0-2
    counts_as: str = "bars"
    projection: str = "pca"
    repeats: int = 3
    layer_seconds: int = 60  # to measure the sensitivity of layers
    finalists: int = 3
    apart: int = 8  # most sensitive layers that are kept at 8 bits
    sweep_methods: str = "rtn.ptq4dm"
    sweep_plans: str = "W8A8.W4A8"
    sweep_sets: str = "own"  # calibrations
    sweep_preset: str = "instant"
    sweep_samples: int = 16
    sweep_steps: int = 10
    sweep_seconds: int = 120
    sweep_x: str = "size"
    sweep_y: str = "psnr"

    @property
    def base(self) -> Grid:
        """The grid of all layers that have none of their own."""
        return Grid(self.bits, self.symmetric, self.estimator, self.granularity, self.keep)

    @property
    def grid(self) -> Grid:
        """The grid of the selected layer."""
        return dict(self.own).get(self.layer, self.base)

    @property
    def plan(self) -> str:
        return f"W{self.weight_bits}A{self.act_bits}"


def one_of(choices: Any) -> Callable[[str], Any]:
    """A reader that takes one of the choices, in the type they have."""

    def read(text: str) -> Any:
        return next(choice for choice in choices if str(choice) == text)

    return read


def like(pattern: str) -> Callable[[str], str]:
    """A reader that takes text of this form; what it names is known to other parts."""

    def read(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(text)
        return text

    return read


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers within limits."""

    def read(text: str) -> int:
        value = int(text[:12])
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return read


READERS: dict[str, Callable[[str], Any]] = {
    "tab": one_of(TABS),
    "stat": one_of(STATISTICS),
    "kind": one_of(KINDS),
    "find": lambda text: text[:80],
    "bits": one_of(BITS),
    "symmetric": one_of((True, False)),
    "estimator": one_of(ESTIMATORS),
    "granularity": one_of(GRANULARITIES),
    "keep": one_of(range(LEAST_KEPT, 101)),
    "applies": one_of(APPLIES),
    "scope": one_of(SCOPES),
    "log": one_of((True, False)),
    "plot": one_of(TIME_PLOTS),
    "weight_bits": one_of(PLAN_BITS),
    "act_bits": one_of(PLAN_BITS),
    "method": like(r"[a-z0-9-]{1,40}"),
    "preset": one_of(PRESETS),
    "without": like(r"([a-z0-9-]{1,40}(,[a-z0-9-]{1,40}){0,19})?"),
    "options": like(r"([a-z0-9_]{1,40}=[^;=]{1,40}(;[a-z0-9_]{1,40}=[^;=]{1,40}){0,39})?"),
    "look": one_of(LOOKS),
    "gain": one_of(GAINS),
    "backend": one_of(BACKENDS),
    "rest": one_of(RESTS),
    "samplers": read_samplers,
    "cal_size": whole(1, 1024),
    "cal_steps": whole(1, 1000),
    "cal_seed": whole(0, MOST_SEED),
    "custom": read_counts,
    "counts_as": one_of(COUNTS_AS),
    "projection": one_of(PROJECTIONS),
    "repeats": whole(2, MOST_REPEATS),
    "layer_seconds": whole(1, 3600),
    "finalists": whole(0, 12),
    "apart": whole(1, 64),
    "sweep_methods": like(r"([a-z0-9-]{1,40}(\.[a-z0-9-]{1,40}){0,11})?"),
    "sweep_plans": like(r"(W\d{1,2}A\d{1,2}(\.W\d{1,2}A\d{1,2}){0,11})?"),
    "sweep_sets": like(r"([a-z0-9-]{1,40}(\.[a-z0-9-]{1,40}){0,11})?"),
    "sweep_preset": one_of(PRESETS),
    "sweep_samples": whole(1, 1024),
    "sweep_steps": whole(1, 1000),
    "sweep_seconds": whole(1, 3600),
    "sweep_x": one_of(SWEEP_COSTS),
    "sweep_y": one_of(SWEEP_GAINS),
}


def first_selection(opened: OpenCapture) -> Selection:
    """Where a visitor starts: the widest shortcut, in the middle of sampling."""
    shortcuts = [s.layer for s in opened.capture.shortcuts if s.layer in opened.names]
    layer = shortcuts[-1] if shortcuts else opened.first_layer
    widest = max(shortcuts, key=lambda n: opened.capture[n].total.std, default=layer)
    return Selection(widest, opened.steps // 2, shortcut=widest if shortcuts else "")


def to_query(selection: Selection, opened: OpenCapture) -> str:
    """The selection as an address query; what is as at the start is left out."""
    start = first_selection(opened)
    values: dict[str, Any] = {"capture": opened.key} if opened.key != "bundled" else {}
    values |= {
        "layer": selection.layer,
        "t": f"{opened.capture.timesteps[selection.step]:g}",
        "tab": selection.tab,
    }
    for field in fields(Selection):
        value = getattr(selection, field.name)
        if field.name not in ("layer", "step", "tab") and value != getattr(start, field.name):
            values[field.name] = to_text(value) if field.name == "own" else value
    return urlencode(values)


def from_query(query: Mapping[str, str], opened: OpenCapture) -> tuple[Selection, list[str]]:
    """The selection an address asks for, and the names of what made no sense in it."""
    selection, nonsense = first_selection(opened), []
    layer, t = query.get("layer"), query.get("t")
    if layer is not None:
        selection, known = _with(selection, layer in opened.names, layer=layer)
        nonsense += [] if known else ["layer"]
    if t is not None:
        step = _step_of(t, opened.capture.timesteps)
        selection, known = _with(selection, step is not None, step=step)
        nonsense += [] if known else ["t"]
    if "shortcut" in query:
        layers = [s.layer for s in opened.capture.shortcuts]
        fine = query["shortcut"] in layers
        selection, known = _with(selection, fine, shortcut=query["shortcut"])
        nonsense += [] if known else ["shortcut"]
    readers = {**READERS, "own": lambda text: from_text(text, opened.names)}
    for name, read in readers.items():
        if name in query:
            try:
                selection = replace(selection, **{name: read(query[name])})
            except (StopIteration, ValueError):
                nonsense.append(name)
    return selection, nonsense


def _with(selection: Selection, fine: bool, **change: Any) -> tuple[Selection, bool]:
    return (replace(selection, **change) if fine else selection), fine


def _step_of(text: str, timesteps: Any) -> int | None:
    """Position of the timestep nearest to a number; `None` for what is no timestep at all."""
    try:
        wanted = float(text)
    except ValueError:
        return None
    if not timesteps.min() <= wanted <= timesteps.max():  # also false for nan
        return None
    return int(np.abs(timesteps - wanted).argmin())
